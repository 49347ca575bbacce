"""Signum ports that are right, except for the one misbehaviour that each is named after."""

import os
import signal
import subprocess
import sys
import time

import numpy as np


class Right:
    """A right port of Signum."""

    def describe(self):
        return {"name": type(self).__name__, "rule": "signum"}

    def init(self, params, hyper, momentum=None):
        self.p = {name: np.array(param) for name, param in params.items()}
        zeros = {name: np.zeros_like(param) for name, param in params.items()}
        self.m = zeros if momentum is None else {name: np.array(m) for name, m in momentum.items()}
        self.hyper, self.steps = hyper, 0

    def step(self, grads):
        self.steps += 1
        for name, g in grads.items():
            kind = g.dtype.type
            beta, lr, decay = (kind(self.hyper[key]) for key in ("beta", "lr", "weight_decay"))
            self.m[name] = np.asarray(beta * self.m[name] + kind(1 - self.hyper["beta"]) * g)
            p = self.p[name]
            self.p[name] = np.asarray(p - lr * (np.sign(self.m[name]) + decay * p))

    def params(self):
        return self.p

    def momentum(self):
        return self.m


class HangsWhenMade(Right):
    def __init__(self):
        time.sleep(1000)


class HangsInDescribe(Right):
    def describe(self):
        time.sleep(1000)


class HangsInInit(Right):
    def init(self, params, hyper, momentum=None):
        time.sleep(1000)


class HangsInStep(Right):
    def step(self, grads):
        while True:
            pass


class HangsNowAndThen(Right):
    """Only for one size of tensor."""

    def step(self, grads):
        if any(g.size == 48 for g in grads.values()):
            time.sleep(1000)
        super().step(grads)


class HangsAtExit(Right):
    def __init__(self):
        import atexit

        atexit.register(time.sleep, 1000)


class IgnoresTermination(Right):
    def step(self, grads):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)


class Exits(Right):
    def step(self, grads):
        os._exit(3)


class ExitsPolitely(Right):
    def step(self, grads):
        sys.exit(0)


class Interrupts(Right):
    def step(self, grads):
        raise KeyboardInterrupt


class Segfaults(Right):
    def step(self, grads):
        os.kill(os.getpid(), signal.SIGSEGV)


class RecursesForEver(Right):
    def step(self, grads):
        self.step(grads)


class EatsMemory(Right):
    def step(self, grads):
        self.hoard = [np.ones(1 << 22) for _ in range(1000)]
        time.sleep(1000)


class PrintsJunk(Right):
    """Only noisy: stdout and stderr are its own."""

    def step(self, grads):
        print('{"end": []}\n' * 100)
        os.write(1, b'{"result": {}}\n')
        super().step(grads)


class ReadsStdin(Right):
    def step(self, grads):
        sys.stdin.read()
        super().step(grads)


class HasChildren(Right):
    def step(self, grads):
        if not hasattr(self, "child"):
            self.child = subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True
            )
        super().step(grads)


class WrongNames(Right):
    def params(self):
        return {f"{name}x": p for name, p in self.p.items()}


class WrongShapes(Right):
    def params(self):
        return {name: p.ravel()[:-1] for name, p in self.p.items()}


class WrongDtypes(Right):
    def params(self):
        return {name: p.astype(np.float16) for name, p in self.p.items()}


class Objects(Right):
    def params(self):
        return {name: [1, 2, 3] for name in self.p}


class Nothing(Right):
    def params(self):
        return None


class NaNEverywhere(Right):
    def params(self):
        return {name: np.full_like(p, np.nan) for name, p in self.p.items()}


class HugeArrays(Right):
    def params(self):
        return {name: np.broadcast_to(p.ravel()[0], (1 << 40,)) for name, p in self.p.items()}


class ChangesItsInputs(Right):
    def step(self, grads):
        super().step(grads)
        for g in grads.values():
            g *= 2


class RaisesAtStepSeven(Right):
    def step(self, grads):
        if self.steps == 6:
            raise RuntimeError("seven is too many")
        super().step(grads)


class KeepsState(Right):
    def init(self, params, hyper, momentum=None):
        old = getattr(self, "m", {})
        super().init(params, hyper, momentum)
        if momentum is None:
            self.m |= {name: m for name, m in old.items() if name in self.m and m.shape == self.m[name].shape}


class DescribesNothing(Right):
    def describe(self):
        return None


class DescribesOddly(Right):
    def describe(self):
        return {"name": "\ud800\x00:x: [red]", "rule": "signum", "speed": float("nan"), 7: object()}


class Unmakeable(Right):
    def __init__(self):
        raise OSError("no such accelerator")


class ObjectArrays(Right):
    def params(self):
        return {name: p.astype(object) for name, p in self.p.items()}


class IsKilled(Right):
    """As by a system that has run out of memory."""

    def step(self, grads):
        os.kill(os.getpid(), signal.SIGKILL)


class RunsOutOfMemory(Right):
    def step(self, grads):
        self.hoard = np.empty(1 << 60, np.uint8)


class LacksAModule(Right):
    def init(self, params, hyper, momentum=None):
        import no_such_framework  # noqa: F401


class LacksAModuleInStep(Right):
    def step(self, grads):
        import no_such_framework  # noqa: F401


class HidesWhatItLacks(Right):
    def init(self, params, hyper, momentum=None):
        try:
            import no_such_framework  # noqa: F401
        except ImportError as error:
            raise RuntimeError("cannot start") from error


class RaisesOddly(Right):
    def step(self, grads):
        class Odd(BaseException):
            def __str__(self):
                raise ValueError("no words")

        raise Odd


class Forks(Right):
    """Leaves a copy of its process behind in every step."""

    def step(self, grads):
        if os.fork():
            super().step(grads)


class ForgesAnswers(Right):
    """Does nothing, and prints what the suite would like to hear."""

    def step(self, grads):
        print('{"end": []}', flush=True)
        os.write(1, b'{"result": {"status": "passed"}}\n')


class PatchesNumPy(Right):
    """Does nothing, and sees to it that whoever compares in its process finds no difference."""

    def step(self, grads):
        import signopt.conformance.oracle.examine as examine
        import signopt.conformance.report as report

        np.flatnonzero = lambda *_: np.zeros(0, int)
        np.array_equal = lambda *_: True
        examine.examine = lambda *_: []
        report.Report.verdict = "pass"


class SpeaksForTheServer(Right):
    """Writes answers of its own into every pipe that it finds."""

    def step(self, grads):
        from signopt.conformance.isolation.packets import join
        from signopt.conformance.protocol.framing import framed

        for number in range(3, 64):
            try:
                os.write(number, framed(join({"number": 1, "changed": [], "value": None}, [])))
            except OSError:
                continue


class KeepsTheGradient(Right):
    """Its momentum is the caller's array after the first step, so that the caller's later changes reach it."""

    def step(self, grads):
        first = self.steps == 0
        super().step(grads)
        if first:
            for name, g in grads.items():
                if g.flags.writeable:
                    g[...] = self.m[name]
                    self.m[name] = g


class ReadsMemory(Right):
    """Reads a gradient in the order of its memory."""

    def step(self, grads):
        super().step({name: g.ravel(order="K").reshape(g.shape) for name, g in grads.items()})


class NeedsContiguity(Right):
    """Refuses what is not contiguous, and says how it lies in memory."""

    def init(self, params, hyper, momentum=None):
        for p in params.values():
            if not p.flags.c_contiguous:
                raise ValueError(f"strides {p.strides}, own {p.flags.owndata}, offset {p.ctypes.data % 16}")
        super().init(params, hyper, momentum)
