"""This library's own optimizers as ports, one for each rule and backend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

import signopt
from signopt._version import __version__
from signopt.backends import BACKENDS
from signopt.conformance.adapters.candidate import Candidate
from signopt.conformance.oracle.rules import OPTIMIZERS
from signopt.conformance.port import Arrays
from signopt.optimizer import Optimizer
from signopt.rules import UPDATES

__all__ = ["OWN", "OwnCupyPort", "OwnPort"]

_OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    rule: getattr(signopt, rule.title()) for rule in OPTIMIZERS if rule in UPDATES
}
_CHOICES: Mapping[str, Mapping[str, Any]] = {
    "muon": {"momentum_form": "ema", "eps_form": "add", "range": "scaled"},
}
_NEEDS: Mapping[str, tuple[str, ...]] = {"numba": ("numba",), "cupy": ("cupy",)}


class OwnPort:
    """One of this library's optimizers under one of its backends."""

    def __init__(self, rule: str, backend: str) -> None:
        self._rule, self._backend = rule, backend

    def describe(self) -> Mapping[str, Any]:
        """The declarations: every dtype, NaN propagates, the canonical order, and what the rule leaves open."""
        return {
            "name": f"signopt/{self._backend}",
            "rule": self._rule,
            "version": __version__,
            "dtypes": ["float32", "float64", "float16", "bfloat16"],
            "decay": "bracket",
            "form": "mul-add",
            **_CHOICES.get(self._rule, {"nan": "propagate"}),
        }

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Make the optimizer on copies, and write the momentum into its live state."""
        arrays = {name: self._copied(param) for name, param in params.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zero matrices under Tiger are among the cases
            self._optimizer = _OPTIMIZERS[self._rule](arrays, backend=self._backend, **hyper)
        for name, values in (momentum or {}).items():
            self._optimizer.momentum[name][...] = self._copied(values)

    def _copied(self, array: np.ndarray) -> Any:
        """What the optimizer gets of an array: a copy, in the library that it is to update."""
        return np.array(array)

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Set hyperparameters on the live optimizer; roles belong to its construction."""
        for name in hyper.keys() - {"roles"}:
            setattr(self._optimizer, name, hyper[name])

    def step(self, grads: Arrays) -> None:
        """One step, in place."""
        self._optimizer.step(grads)

    def params(self) -> Arrays:
        """The live parameters."""
        return self._optimizer.params

    def momentum(self) -> Arrays:
        """The live momentum."""
        return self._optimizer.momentum


class OwnCupyPort(OwnPort):
    """One of this library's optimizers on CuPy arrays; what it shows are copies of them."""

    def __init__(self, rule: str, backend: str = "cupy") -> None:
        super().__init__(rule, backend)

    def _copied(self, array: np.ndarray) -> Any:
        import cupy

        return cupy.array(array, order="K")

    def step(self, grads: Arrays) -> None:
        """One step on copies of the gradients, which are written back: what is done to them is the caller's to see."""
        copies = {name: self._copied(grad) for name, grad in grads.items()}
        self._optimizer.step(copies)
        for name, grad in grads.items():
            if grad.flags.writeable:
                grad[...] = copies[name].get()

    def params(self) -> Arrays:
        """The parameters as they are now."""
        return {name: array.get(order="A") for name, array in self._optimizer.params.items()}

    def momentum(self) -> Arrays:
        """The momentum as it is now."""
        return {name: array.get(order="A") for name, array in self._optimizer.momentum.items()}


def _candidate(rule: str, backend: str) -> Candidate:
    kind, device = (OwnCupyPort, "cuda") if backend == "cupy" else (OwnPort, "cpu")
    needs = ("signopt", *_NEEDS.get(backend, ()))
    return Candidate(f"signopt/{backend}", rule, "signopt", needs, partial(kind, rule, backend), device=device)


OWN: tuple[Candidate, ...] = tuple(
    _candidate(rule, backend) for rule in _OPTIMIZERS for backend in BACKENDS if backend != "auto"
)
"""Every rule under every backend."""
