"""A Signum port over JSON lines that is right, except for the one misbehaviour that its argument names."""

import json
import math
import os
import signal
import struct
import subprocess
import sys
import time

MODE = sys.argv[1]
MORE = {
    "many-rules": {"rules": ["signum", *(f"rule {number}" for number in range(100_000))]},
    "odd-keys": {"subnormal": "flush", "colour": "red"},
}
READS, WRITES, HYPER = (
    "<" if f"-{part}" in MODE and MODE.startswith("swapped") else ">" for part in ("in", "out", "hyper")
)
state = {"params": {}, "momentum": {}, "hyper": {}, "steps": 0}


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def unhex(digits):
    return struct.unpack(f"{HYPER}d", bytes.fromhex(digits))[0]


def floats(array):
    width = {"float32": 8, "float64": 16}[array["dtype"]]
    data = array["data"]
    return [
        struct.unpack(READS + ("f" if width == 8 else "d"), bytes.fromhex(data[i : i + width]))[0]
        for i in range(0, len(data), width)
    ]


def rounded(dtype, value):
    try:
        return struct.unpack("f", struct.pack("f", value))[0] if dtype == "float32" else value
    except OverflowError:
        return math.copysign(math.inf, value)


def spelled(dtype, shape, values):
    return {
        "dtype": dtype,
        "shape": shape,
        "data": b"".join(struct.pack(WRITES + ("f" if dtype == "float32" else "d"), v) for v in values).hex(),
    }


def step(grads):
    state["steps"] += 1
    beta, lr, decay = (unhex(state["hyper"][key]) for key in ("beta", "lr", "weight_decay"))
    for name, grad in grads.items():
        dtype = grad["dtype"]
        param, momentum = state["params"][name], state["momentum"][name]
        r = lambda value: rounded(dtype, value)  # noqa: B023, E731
        for i, g in enumerate(floats(grad)):
            momentum[1][i] = m = r(r(r(beta) * momentum[1][i]) + r(r(1 - beta) * g))
            sign = (m > 0) - (m < 0) if m == m else m
            param[1][i] = r(param[1][i] - r(r(lr) * r(sign + r(r(decay) * param[1][i]))))


def arrays(slot):
    out = {}
    for name, (template, values) in state[slot].items():
        dtype, shape = template["dtype"], template["shape"]
        if MODE == "nan":
            values = [float("nan")] * len(values)
        if MODE == "wrong-names":
            name += "x"
        if MODE == "wrong-shapes":
            values, shape = [*values, 0.0], [len(values) + 1]
        if MODE == "wrong-dtypes":
            dtype = "float64" if dtype == "float32" else "float32"
        out[name] = spelled(dtype, shape, values)
    if MODE == "short-data":
        for array in out.values():
            array["data"] = array["data"][1:]
    if MODE == "no-arrays":
        return 7
    return out


def init(request):
    if MODE == "keeps-state" and state["params"]:
        state["hyper"] = request["hyper"]
        for name, param in request["params"].items():
            old = state["momentum"].get(name, (param, []))[1]
            values = floats(param)
            state["params"][name] = (param, values)
            state["momentum"][name] = (param, old if len(old) == len(values) else [0.0] * len(values))
        return
    given = request.get("momentum")
    state["hyper"], state["steps"] = request["hyper"], 0
    state["params"] = {name: (param, floats(param)) for name, param in request["params"].items()}
    state["momentum"] = {
        name: (param, floats(given[name]) if given else [0.0] * len(values))
        for name, (param, values) in state["params"].items()
    }


def misbehave(method):
    if MODE == "exit-step-with-family" and method == "step":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        os._exit(3)
    if MODE == "missing-step" and method == "step":
        import no_such_framework  # noqa: F401
    if MODE == "killed-step" and method == "step":
        os.kill(os.getpid(), signal.SIGKILL)
    if f"hang-{method}" == MODE:
        time.sleep(1000)
    if MODE == "ignore-sigterm" and method == "step":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    if f"exit-{method}" == MODE:
        print("out of ideas", file=sys.stderr)
        os._exit(3)
    if f"segfault-{method}" == MODE:
        os.kill(os.getpid(), signal.SIGSEGV)
    if MODE == "memory" and method == "step":
        hoard = [bytearray(os.urandom(1) * (32 << 20)) for _ in range(1000)]
        time.sleep(len(hoard))
    if MODE == "endless-line" and method == "step":
        while True:
            sys.stdout.write("0" * 65536)
    if MODE == "stderr-flood" and method == "step":
        sys.stderr.write("noise\n" * 200_000)
    if MODE == "partial-line" and method == "step":
        say('{"id":')
        time.sleep(1000)
    if MODE == "family" and method == "init":
        sleeper = [sys.executable, "-c", "import time; time.sleep(1000)"]
        subprocess.Popen(sleeper, start_new_session=True)
        subprocess.Popen(sleeper)


def answer(request):
    method = request["method"]
    if method == "hello":
        return {
            "protocol": 2 if MODE == "other-protocol" else 1,
            "describe": {"name": MODE, "rule": "signum", "configure": True, **MORE.get(MODE, {})},
        }
    if method == "init":
        init(request)
    elif method == "configure":
        state["hyper"] = request["hyper"]
    elif method == "step":
        if MODE == "unavailable":
            return {"error": {"kind": "unavailable", "message": "no such accelerator"}}
        if MODE == "raise-at-7" and state["steps"] == 6:
            return {"error": {"kind": "internal", "message": "seven is too many"}}
        step(request["grads"])
    elif method in ("params", "momentum"):
        return {method: arrays(method)}
    return {}


kept = []
if MODE == "junk-first":
    say("Loading model…\n")
for line in sys.stdin.readlines() if MODE == "batches" else sys.stdin:
    request = json.loads(line)
    misbehave(request["method"])
    number = request["id"]
    reply = json.dumps({"id": number, **answer(request)})
    if MODE == "wrong-id":
        reply = json.dumps({"id": number + 1, **answer(request)})
    if MODE == "not-json" and request["method"] == "step":
        reply = "Traceback (most recent call last)"
    if MODE == "nested" and request["method"] == "step":
        reply = "[" * 100_000
    if MODE == "bytes" and request["method"] == "step":
        sys.stdout.buffer.write(b"\xff\xfe\x00\n")
        reply = ""
    if MODE == "no-flush":
        kept.append(f"{reply}\n")
        continue
    if MODE == "reads-ahead":
        kept.append(f"{reply}\n")
        say(kept.pop(0) if len(kept) > 1 else "")
        continue
    end = {"no-newline": "", "carriage-return": "\r"}.get(MODE, "\n")
    say(f"{reply}{end}" * (2 if MODE == "twice" else 1))
    if MODE == "deaf":
        time.sleep(1000)
    if request["method"] == "bye" and MODE != "hang-exit":
        break
if MODE == "hang-exit":
    time.sleep(1000)
say("".join(kept))
if MODE == "crash-exit":
    os.kill(os.getpid(), signal.SIGSEGV)
if MODE == "chatty-exit":
    say("bye bye\n")
