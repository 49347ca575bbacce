"""Ports in another process: what breaks down is named, in bounded time, and no process is left."""

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.errors import (
    PortBroke,
    PortDied,
    PortLacks,
    PortOverLimit,
    PortRefused,
    PortTimeout,
    PortUnavailable,
    ProtocolViolation,
)
from signopt.conformance.protocol import processes
from signopt.conformance.protocol.child import Child
from signopt.conformance.protocol.limits import Limits

HOSTILE = Path(__file__).with_name("hostile_port.py")
LIMITS = Limits(message_seconds=1.0, total_seconds=20.0, line_bytes=1 << 20, memory_bytes=256 << 20, exit_seconds=0.5)
HYPER = {"lr": 1e-3, "beta": 0.9, "weight_decay": 0.1}
PARAMS = {"w": np.array([1.0, -2.0], dtype=np.float32)}
GRADS = {"w": np.array([0.5, 0.25], dtype=np.float32)}


def hostile(mode: str, **options: object) -> ProcessPort:
    return ProcessPort([sys.executable, str(HOSTILE), mode], **{"limits": LIMITS, **options})


def one_step(port: ProcessPort) -> tuple[dict, dict | None]:
    port.init(PARAMS, HYPER)
    port.step(GRADS)
    return dict(port.params()), port.momentum()


def processes_marked(mark: str) -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_marked(pid, mark)]


def is_marked(pid: int, mark: str) -> bool:
    try:
        return f"{processes.MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _no_process_left(monkeypatch):
    mark = f"test-{os.getpid()}"
    monkeypatch.setattr(processes, "new_mark", lambda: mark)
    yield
    if Path("/proc/self").exists():
        assert processes_marked(mark) == []


def test_a_right_port_steps():
    with hostile("none") as port:
        params, momentum = one_step(port)
    np.testing.assert_array_equal(momentum["w"], np.float32([0.05, 0.025]))
    assert params["w"].dtype == np.float32
    assert port.complaints == []


def test_an_interrupt_ends_the_conversation_and_passes(monkeypatch):
    with hostile("none") as port:
        port.init(PARAMS, HYPER)
        monkeypatch.setattr(Child, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            port.step(GRADS)


def interrupted(self, seconds):
    raise KeyboardInterrupt


BREAKDOWNS = {
    "hang-hello": (PortTimeout, "hello: no complete answer within 1 s"),
    "hang-init": (PortTimeout, "init: no complete answer"),
    "hang-step": (PortTimeout, "step: no complete answer"),
    "ignore-sigterm": (PortTimeout, "step: no complete answer"),
    "partial-line": (PortTimeout, "b'{\"id\":' arrived, 6 bytes of an incomplete reply"),
    "exit-hello": (PortDied, "exited with code 3; stderr ends with 'out of ideas'"),
    "exit-step": (PortDied, "exited with code 3; stderr ends with 'out of ideas'"),
    "exit-step-with-family": (PortDied, "process ended: it exited with code 3"),
    "missing-step": (PortLacks, "exited with code 1; stderr ends with .*ModuleNotFoundError"),
    "killed-step": (PortLacks, "ended by SIGKILL"),
    "no-flush": (PortTimeout, r"nothing arrived until its stdin was closed, and then b'{\"id\": 1.*does it flush"),
    "batches": (PortTimeout, "nothing arrived until its stdin was closed.*read several requests"),
    "no-newline": (PortTimeout, r"b'{\"id\": 1.*, and no newline: does each reply end with"),
    "carriage-return": (PortTimeout, r"that end with \\r: does each reply end with \\n"),
    "segfault-step": (PortDied, "ended by SIGSEGV"),
    "memory": (PortOverLimit, "MiB of memory; 256 MiB are allowed"),
    "endless-line": (ProtocolViolation, "more than 1048576 bytes"),
    "junk-first": (ProtocolViolation, "one line of JSON, got b'Loading model"),
    "not-json": (ProtocolViolation, "one line of JSON, got b'Traceback"),
    "nested": (ProtocolViolation, "one line of JSON"),
    "bytes": (ProtocolViolation, "one line of JSON"),
    "wrong-id": (ProtocolViolation, "repeats the id"),
    "twice": (ProtocolViolation, "given twice, or too late"),
    "other-protocol": (ProtocolViolation, "speaks protocol 1, the port answered 2"),
    "unavailable": (PortLacks, "no such accelerator"),
    "short-data": (ProtocolViolation, "params: array 'w': \"data\" of shape \\[2\\] in float32 is 16 hex"),
    "no-arrays": (ProtocolViolation, "params: arrays travel as an object"),
}


@pytest.mark.parametrize("mode", BREAKDOWNS)
@pytest.mark.one_in(4)
def test_a_breakdown_is_named_in_bounded_time(mode):
    error, message = BREAKDOWNS[mode]
    began = time.monotonic()
    patient = Limits(**{**vars(LIMITS), "message_seconds": 10.0 if error is not PortTimeout else 1.0})
    with hostile(mode, limits=patient) as port, pytest.raises(error, match=message):
        one_step(port)
    assert time.monotonic() - began < 100  # a port hangs for longer, and a busy machine starts one slowly


@pytest.mark.parametrize("mode", ["stderr-flood", "hang-exit", "chatty-exit", "family", "nan", "wrong-names"])
def test_what_is_no_breakdown_goes_on(mode):
    with hostile(mode) as port:
        one_step(port)


def test_a_port_that_does_not_read_times_out():
    with hostile("deaf") as port, pytest.raises(PortTimeout, match="init: no complete answer"):
        port.init({"w": np.zeros(65537)}, HYPER)


def test_a_late_end_is_remarked_and_no_fault():
    with hostile("hang-exit") as port:
        one_step(port)
    assert port.complaints == []
    assert port.remarks == ["the process did not end within 0.5 s of the end of its stdin"]


def test_a_crash_after_bye_is_a_fault():
    with hostile("crash-exit") as port:
        one_step(port)
    assert port.complaints == ["after its last answer it was ended by SIGSEGV"]


def test_words_after_the_last_answer_are_complained_about():
    with hostile("chatty-exit") as port:
        one_step(port)
    assert port.complaints == ["after its last answer the port wrote b'bye bye\\n'"]


def test_an_error_of_the_port_is_no_breakdown():
    with hostile("raise-at-7") as port:
        port.init(PARAMS, HYPER)
        for _ in range(6):
            port.step(GRADS)
        with pytest.raises(PortRefused, match=r"internal: .*seven is too many"):
            port.step(GRADS)
        one_step(port)
    assert port.complaints == []


def test_init_starts_a_broken_port_again_but_not_for_ever():
    limits = Limits(message_seconds=5, restarts=2, exit_seconds=0.5)
    with hostile("exit-step", limits=limits) as port:
        for _ in range(3):
            port.init(PARAMS, HYPER)
            with pytest.raises(PortDied):
                port.step(GRADS)
            with pytest.raises(PortUnavailable, match="is not running: step: the port"):
                port.step(GRADS)
        with pytest.raises(PortUnavailable, match="not started again after 3 breakdowns"):
            port.init(PARAMS, HYPER)


def test_waiting_is_bounded_in_total():
    limits = Limits(message_seconds=5, total_seconds=0.4, exit_seconds=0.2)
    with hostile("hang-step", limits=limits) as port:
        port.init(PARAMS, HYPER)
        with pytest.raises(PortTimeout):
            port.step(GRADS)
        with pytest.raises(PortBroke):
            port.init(PARAMS, HYPER)


def test_a_command_that_cannot_start_says_so():
    with pytest.raises(PortUnavailable, match=r"cannot start './no_such_port': No such file or directory$"):
        ProcessPort(["./no_such_port"]).describe()


def test_the_replay_holds_all_traffic_and_can_be_played_again():
    record = io.BytesIO()
    with hostile("none", replay=record) as port:
        one_step(port)
    lines = record.getvalue().splitlines()
    assert [line[:1] for line in lines] == [b"!", *[b">", b"<"] * 6]
    assert b'"method":"hello"' in lines[1]
    assert b'"method":"bye"' in lines[-2]


def test_another_rule_than_asked_for_is_a_violation():
    with hostile("none", rule="lion") as port, pytest.raises(ProtocolViolation, match="asked for lion"):
        port.describe()


def test_a_callable_schedule_cannot_travel():
    with hostile("none") as port, pytest.raises(NotImplementedError, match="callable schedule"):
        port.init(PARAMS, {**HYPER, "schedule": lambda t: 1.0})
