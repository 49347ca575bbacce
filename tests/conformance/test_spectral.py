"""The rule "spectral-decay": right ports pass, wrong ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signopt.conformance import check


def iterated(w: Any, rounds: int = 10, *, normalise: bool = True) -> Any:
    x = np.ones(w.shape[1], w.dtype)
    for _ in range(rounds):
        x = w.T @ (w @ x)
        norm = np.linalg.norm(x)
        if not norm:
            return 0 * w
        x = x / norm if normalise else x
    return np.outer(w @ x, x) / np.dot(x, x)


def on_gram(w: Any) -> Any:
    gram, x = w.T @ w, np.ones(w.shape[1], w.dtype)
    for _ in range(10):
        x = gram @ x
    return np.outer(w @ x, x) / np.dot(x, x) if x.any() else 0 * w


def by_svd(w: Any, which: int = 0) -> Any:
    left, values, right = np.linalg.svd(w, full_matrices=False)
    which = min(which, values.size - 1)
    return (values[which] * np.outer(left[:, which], right[which])).astype(w.dtype)


def unguarded(w: Any) -> Any:
    x = np.ones(w.shape[1], w.dtype)
    for _ in range(10):
        x = w.T @ (w @ x)
        x = x / np.linalg.norm(x)
    return np.outer(w @ x, x)


class Port:
    def __init__(self, decay: Any, **declared: Any) -> None:
        self.decay, self.declared = decay, declared

    def describe(self) -> dict[str, Any]:
        return {"name": "a decay", "rule": "spectral-decay", **self.declared}


RIGHT = {
    "normalised": Port(iterated),
    "not normalised": Port(lambda w: iterated(w, normalise=False)),
    "on the Gram matrix": Port(on_gram),
    "five rounds, declared": Port(lambda w: iterated(w, 5), rounds=5),
    "forty rounds, declared": Port(lambda w: iterated(w, 40), rounds=40),
    "svd": Port(by_svd, method="svd"),
    "svd, the other sign": Port(lambda w: -by_svd(-w), method="svd"),
}
WRONG = {
    "one round short": Port(lambda w: iterated(w, 9)),
    "one round more": Port(lambda w: iterated(w, 11)),
    "plain decay": Port(lambda w: w.copy()),
    "0/0": Port(unguarded),
    "NaN taken as zero": Port(lambda w: iterated(np.nan_to_num(w, posinf=0, neginf=0))),
    "NaN element by element": Port(lambda w: iterated(np.nan_to_num(w)) + 0 * w),
    "strides ignored": Port(lambda w: iterated(np.frombuffer(w.tobytes("A"), w.dtype).reshape(w.shape))),
    "0/0 where the ones are in the null space": Port(lambda w: unguarded(w) if w.any() else w),
    "zero columns skipped": Port(lambda w: iterated(w) * w.dtype.type(1 if w.any(axis=0).all() else 0.99)),
    "transposed": Port(lambda w: iterated(w.T).T),
    "svd, undeclared": Port(by_svd),
    "the second singular value": Port(lambda w: by_svd(w, 1), method="svd"),
    "without the singular value": Port(lambda w: by_svd(w) / max(np.linalg.norm(w, 2), 1e-9), method="svd"),
    "W itself for svd": Port(lambda w: w.copy(), method="svd"),
    "squared": Port(lambda w: by_svd(w) * np.linalg.norm(w, 2).astype(w.dtype), method="svd"),
    "the matrix changed": Port(lambda w: w.__imul__(1.5)),
    "another dtype": Port(lambda w: iterated(w).astype(np.float16)),
}


@pytest.mark.parametrize("port", RIGHT.values(), ids=RIGHT)
def test_right_ports_pass(port):
    with np.errstate(all="ignore"):
        report = check(port, diagnose=False)
    assert report.verdict == "pass", [failure.message for failure in report.failures]


@pytest.mark.parametrize("port", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wrong_ports_fail(port, dtype):
    with np.errstate(all="ignore"):
        assert check(port, dtypes=[dtype], diagnose=False).verdict == "fail"


def test_what_is_declared_is_checked():
    assert "rounds" in check(Port(iterated, rounds=0)).obstacles[0]
