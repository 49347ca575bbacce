"""What a check works with: a `Session` for one port, dtype and check, and a `Run`, one life of the port within it.

A run reads the port after every step and judges that step from what the port itself had before it, so that a legal
difference never adds up to an accusation. If the momentum is hidden the run carries two ends that enclose every
legal momentum, and later signs are judged against both.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from signopt.conformance.declarations import Declaration
from signopt.conformance.driver import Driver, Tensors
from signopt.conformance.errors import PortMisbehaved, PortRaised
from signopt.conformance.oracle.formats import FORMATS, Format, format_of
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.oracle.rules import RULES, Optimizer, Rule, SignRule
from signopt.conformance.oracle.step import Fault, Step
from signopt.conformance.report import CheckResult, Failure, Trace

__all__ = ["CannotRunError", "EnoughError", "NotApplicableError", "Run", "Session", "Watcher"]

Array = np.ndarray[Any, Any]
Gradients = Array | Tensors | Callable[[str, Array, Array], Array]
Watcher = Callable[[Step], None]
MOST_FAILURES = 6
MOST_TRACED = 5000


class NotApplicableError(Exception):
    """The check says nothing about this port; the message is the reason."""


class CannotRunError(Exception):
    """The check cannot run, and a verdict needs it; the message says what the port lacks."""


class EnoughError(Exception):
    """The check has failed often enough to stop it."""


class Session:
    """One check of one port in one dtype. ``rng`` depends on the suite's seed, the check and the dtype alone."""

    def __init__(
        self, driver: Driver, declared: Declaration, result: CheckResult, seed: int = 0, watcher: Watcher | None = None
    ) -> None:
        self.driver, self.declared, self.result, self.watcher = driver, declared, result, watcher
        self.storage, self.seed = FORMATS[result.dtype], seed
        self.dtype = self.storage.dtype
        self.reseed()

    @property
    def rule(self) -> Rule:
        """What the suite knows of the port's rule."""
        return RULES[self.declared.rule]

    @property
    def optimizer(self) -> Optimizer:
        """The same for a check that starts and steps a port."""
        if not isinstance(self.rule, Optimizer):
            raise TypeError(f"{self.rule.name} is no optimizer: it cannot be started and stepped")
        return self.rule

    @property
    def sign_rule(self) -> SignRule:
        """The same for a check of the sign rules alone."""
        if not isinstance(self.rule, SignRule):
            raise TypeError(f"{self.rule.name} takes no sign")
        return self.rule

    @property
    def habits(self) -> Any:
        """What the port declares beyond name, rule, version and dtypes: an object of the rule's class of habits."""
        return self.declared.habits

    def hyper(
        self, lr: float = 0.1, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0, **own: Any
    ) -> dict[str, Any]:
        """Hyperparameters under the names of this rule; a rule with one β takes the first of ``betas``."""
        return self.optimizer.settings(lr, betas, weight_decay, **own)

    def array(self, values: Any) -> Array:
        """Values rounded to the dtype under test."""
        with np.errstate(all="ignore"):
            return np.asarray(values, np.float64).astype(self.dtype)

    def spread(self, values: Any) -> Tensors:
        """One array as the tensors that this rule distinguishes: a matrix and a bias for Tiger, say."""
        return self.optimizer.spread(self.array(values))

    def reseed(self) -> None:
        """Let ``rng`` start anew, to draw the same numbers again."""
        self.rng = np.random.default_rng([self.seed, zlib.crc32(self.result.id.encode()), *self.result.dtype.encode()])

    def start(self, params: Any, hyper: Mapping[str, Any], momentum: Any = None, *, as_given: bool = False) -> Run:
        """A run from ``params`` (an array or {name: array}) and from ``momentum``, else zeros.

        ``as_given`` hands the port these very arrays, the momentum too, not copies.
        """
        tensors = params if isinstance(params, dict) else self.spread(params)
        wanted = momentum if momentum is None or isinstance(momentum, dict) else self.spread(momentum)
        return Run(self, tensors, hyper, self.as_kept(wanted), as_given=as_given)

    def as_kept(self, momentum: Tensors | None) -> Tensors | None:
        """A momentum that a port with the declared ``momentum_dtype`` can hold, in the dtype that it is given in."""
        declared = self.habits.momentum_dtype
        if momentum is None or declared is None:
            return momentum
        with np.errstate(over="ignore"):
            return {name: m.astype(FORMATS[declared].dtype).astype(m.dtype) for name, m in momentum.items()}

    def fail(self, message: str, **details: Any) -> None:
        """Record a failure that is not about one element."""
        self.record(Failure(self.result.id, self.result.dtype, message, **details))

    def record(self, failure: Failure) -> None:
        """Record a failure; past the limit the check ends."""
        self.result.failures.append(failure)
        if len(self.result.failures) >= MOST_FAILURES:
            raise EnoughError

    @contextmanager
    def edge(self, what: str) -> Iterator[None]:
        """An edge of the domain: a port that raises an error of its own here refuses it, and is not wrong."""
        try:
            yield
        except PortRaised as error:
            self.result.notes.append(f"refuses {what}: {error}")

    def expect_equal(self, got: Tensors, wanted: Tensors, message: str) -> None:
        """Demand the same bits, NaN as one class and −0 as 0; every element counts as judged."""
        for name, array in wanted.items():
            one, two = got[name].astype(np.float64).ravel(), array.astype(np.float64).ravel()
            self.result.judged += two.size
            for i in np.flatnonzero(~((one == two) | (np.isnan(one) & np.isnan(two))))[:1].tolist():
                index = tuple(int(k) for k in np.unravel_index(i, array.shape))
                self.fail(message, tensor=name, index=index, allowed=float(two[i]).hex(), got=float(one[i]).hex())


class Run:
    """One life of the port.

    ``param`` is what it last returned, ``memory`` what is known of its momentum, ``shown`` the momentum as last shown.
    """

    def __init__(
        self,
        session: Session,
        params: Tensors,
        hyper: Mapping[str, Any],
        momentum: Tensors | None,
        *,
        as_given: bool = False,
    ) -> None:
        self.session, self.step_index = session, 0
        self.judge = session.optimizer.judge(session.habits)
        self.hyper = session.optimizer.complete(session.habits, hyper, list(params))
        self.param = {name: array.copy() for name, array in params.items()}
        self.memory = {n: Momentum.shown(np.zeros(a.shape), self._momentum_format(n)) for n, a in params.items()}
        self.shown: Tensors | None = None
        self._init(params, momentum, as_given)

    def _init(self, params: Tensors, momentum: Tensors | None, as_given: bool) -> None:
        kept = momentum and _copied(momentum)
        self._trace(kept)
        given = (params, momentum) if as_given else (_copied(params), kept and _copied(kept))
        try:
            self.session.driver.init(given[0], self.hyper, given[1])
        except NotImplementedError:
            self._prepare(kept or {})
            return
        self.memory |= {n: Momentum.shown(m, self._momentum_format(n)) for n, m in (kept or {}).items()}

    def _trace(self, momentum: Tensors | None) -> None:
        self.trace = Trace(self.session.result.id, {n: a.copy() for n, a in self.param.items()}, momentum)
        if sum(array.size for array in self.param.values()) <= MOST_TRACED:
            self.session.result.traces.append(self.trace)

    def _momentum_format(self, name: str) -> Format:
        declared = self.session.habits.momentum_dtype
        return FORMATS[declared] if declared else format_of(self.param[name].dtype)

    def _prepare(self, momentum: Tensors) -> None:
        """Bring a port whose momentum cannot be set to about the same state by gradients, and judge these steps too."""
        session = self.session
        try:
            approach = session.optimizer.approach(session.habits, self.hyper, self.param, momentum)
        except ValueError as reason:
            raise NotApplicableError(f"the momentum cannot be set, and {reason}") from None
        self.param = approach.params
        self._trace(None)
        session.driver.init(_copied(self.param), self.hyper)
        for _ in range(approach.steps):
            self.step(approach.grads)

    def momentum(self, name: str) -> Array:
        """The momentum as float64: what the port shows, or the middle of what is known."""
        memory = self.memory[name]
        if memory.low is memory.high:
            return memory.low
        with np.errstate(invalid="ignore"):
            return np.asarray(memory.low / 2 + memory.high / 2)

    def near_zero(self, deltas: Any) -> Tensors:
        """Gradients g = −(b/a)·m·(1 + δ), which put c at −δ·b·m: as near to zero as ``deltas`` says.

        ``deltas`` is an array for all tensors, or {name: array}.
        """
        each = deltas if isinstance(deltas, dict) else dict.fromkeys(self.param, deltas)
        at, near_zero = self.step_index, self.session.optimizer.near_zero
        return {n: self.session.array(near_zero(self.hyper, at, self.momentum(n), each[n])) for n in self.param}

    def step(self, grads: Gradients, *, as_given: bool = False) -> None:
        """One step, judged. ``as_given`` hands the port these very arrays, not copies."""
        tensors = self._gradients(grads)
        before = {name: grad.copy() for name, grad in tensors.items()}
        self.session.driver.step(tensors if as_given else {n: grad.copy(order="K") for n, grad in tensors.items()})
        params, momenta = self.read()
        self.trace.hyper.append(self.hyper)
        self.trace.steps.append(before)
        self.trace.outputs.append((params, momenta))
        self._examine(Step(self.step_index, self.hyper, self.param, before, self.memory, params, momenta))
        self.param, self.shown, self.step_index = params, momenta, self.step_index + 1

    def _examine(self, step: Step) -> None:
        """Have a step judged, and keep what is known of the momenta."""
        self.session.result.judged += sum(param.size for param in step.params.values())
        if self.session.watcher:
            self.session.watcher(step)
        judged = self.judge(step)
        self.session.result.count(judged.by)
        for fault in judged.faults:
            self.record(fault)
        self.memory = {**self.memory, **judged.memory}

    def _gradients(self, grads: Gradients) -> Tensors:
        if callable(grads):
            return {name: self.session.array(grads(name, self.param[name], self.momentum(name))) for name in self.param}
        if isinstance(grads, dict):
            return grads
        return {name: np.asarray(grads).astype(self.session.dtype) for name in self.param}

    def everything(self) -> Tensors:
        """The parameters, and the momenta if they are shown, under "momentum of …"."""
        return self.param | {f"momentum of {name}": array for name, array in (self.shown or {}).items()}

    def read(self) -> tuple[Tensors, Tensors | None]:
        """Parameters and momenta as they are now, copied."""
        driver = self.session.driver
        params, momenta = driver.params(self.param), driver.momentum(self.param)
        for name, array in (momenta or {}).items():
            self._allow_dtype(name, format_of(array.dtype))
        return params, momenta

    def _allow_dtype(self, name: str, shown: Format) -> None:
        """A momentum may be as wide as the arithmetic; a narrower one must be declared."""
        own, declared = format_of(self.param[name].dtype), self._momentum_format(name)
        wide = self.session.habits.compute_format(own)
        if shown not in (own, declared) and not own.precision <= shown.precision <= wide.precision:
            raise PortMisbehaved(f"momentum()[{name!r}] has dtype {shown.name}; the parameter has {own.name}")

    def go_on_from(self, params: Tensors, momenta: Tensors | None, memory: Mapping[str, Momentum]) -> None:
        """After steps of the driver that nothing judged: what the port shows, and what is known of its momenta."""
        self.param, self.shown, self.memory = params, momenta, dict(memory)
        if momenta is not None:
            self._trace(momenta)

    def record(self, fault: Fault) -> None:
        """A fault as a failure of the check."""
        result = self.session.result
        self.session.record(Failure(
            result.id, result.dtype, fault.message, fault.tensor, fault.index, self.step_index, fault.quantity,
            {**fault.inputs, "hyper": {key: str(value) for key, value in self.hyper.items()}},
            fault.direction, fault.region, fault.allowed, fault.got,
        ))  # fmt: skip

    def configure(self, **changes: Any) -> None:
        """Change hyperparameters between steps: by the port's ``configure``, else by a new life from the same state."""
        self.hyper = {**self.hyper, **changes}
        if self.session.driver.configurable:
            self.session.driver.configure(self.hyper)
            return
        if any((memory.low != memory.high).any() for memory in self.memory.values()):
            raise NotApplicableError("no configure(hyper), and the hidden momentum cannot be carried into a new init")
        carried = {name: m.low.astype(m.storage.dtype) for name, m in self.memory.items()}
        try:
            self.session.driver.init(_copied(self.param), self.hyper, carried)
        except NotImplementedError:
            raise NotApplicableError("no configure(hyper), and the momentum cannot be set") from None
        self._trace(carried)


def _copied(tensors: Tensors) -> Tensors:
    return {name: array.copy() for name, array in tensors.items()}
