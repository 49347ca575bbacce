"""The optimizer Muon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt.optimizer._hyperparameter import Hyperparameter
from signopt.optimizer._params import Params
from signopt.optimizer.base import Optimizer
from signopt.rules._matrices import matrix_shape
from signopt.rules.coefficients import Coefficients
from signopt.rules.muon import MuonCoefficients, adjustment, decay_of
from signopt.rules.newton_schulz import JORDAN, ns_coefficients, triples_for

__all__ = ["Muon"]


class Muon(Optimizer):
    """Muon on named matrices, in place. The rule and its arguments are those of :func:`signopt.muon`.

    Parameters are those of :class:`Lion`, with ``beta`` in place of ``betas``, and those of the rule.

    Parameters
    ----------
    params : mapping or sequence of array
        Of two axes or more each; biases, gains and, by custom, embeddings and the last layer go to another optimizer,
        and :class:`Groups` joins the two.
    batch_axis : int, optional
        The axis along which every parameter stacks matrices. It cannot be changed.

    Raises
    ------
    ValueError
        Naming every parameter that is no matrix.

    Notes
    -----
    Momentum, look-ahead and the last line of the rule have the same bits on every backend. The iteration runs in a
    workspace, taken at the first step and shared by all matrices: two matrices of the largest shape, and four squares
    of its shorter side.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> weights = {"w": np.eye(2)}
    >>> opt = signopt.Muon(weights, lr=0.25, weight_decay=0.0, ns_coefficients="polar-express")
    >>> opt.step({"w": np.array([[0.0, 2.0], [2.0, 0.0]])})
    >>> weights["w"].round(2)
    array([[ 1.  , -0.27],
           [-0.27,  1.  ]])
    """

    rule = "muon"
    beta = Hyperparameter(hyperparameters.one_beta, "β in [0, 1).")
    nesterov = Hyperparameter(hyperparameters.flag, "Whether the update looks ahead.")
    ns_coefficients = Hyperparameter(ns_coefficients, "A preset's name, a triple (a, b, c), or a triple for each step.")
    ns_steps = Hyperparameter(hyperparameters.ns_steps, "Steps of the iteration, 1 or more.")
    eps = Hyperparameter(hyperparameters.eps, "ε, finite, zero or positive.")
    adjust_lr_fn = Hyperparameter(adjustment, '"original" or "match_rms_adamw".')
    decay = Hyperparameter(decay_of, '"plain" or "spectral".')

    def __init__(
        self,
        params: Params,
        *,
        lr: float = 1e-3,
        beta: float = 0.95,
        weight_decay: float = 0.1,
        nesterov: bool = True,
        ns_coefficients: Any = JORDAN,
        ns_steps: int = 5,
        eps: float = 1e-7,
        adjust_lr_fn: str | None = "original",
        decay: str = "plain",
        schedule: Schedule = None,
        batch_axis: int | None = None,
        backend: str = "auto",
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        hyper = {
            "lr": lr,
            "beta": beta,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "ns_steps": ns_steps,
            "eps": eps,
            "adjust_lr_fn": adjust_lr_fn,
            "decay": decay,
            "schedule": schedule,
        }
        self._batch_axis = hyperparameters.axis(batch_axis, "batch_axis")
        super().__init__(params, hyper, backend=backend, momentum_dtype=momentum_dtype, rounding=rounding, seed=seed)
        self._check_matrices()

    @property
    def batch_axis(self) -> int | None:
        """The axis along which the parameters stack matrices, if they do."""
        return self._batch_axis

    def _check_matrices(self) -> None:
        least = 2 if self._batch_axis is None else 3
        others = [f"{name!r} of shape {tuple(p.shape)}" for name, p in self._params.items() if len(p.shape) < least]
        if others:
            raise ValueError(
                f"Muon updates matrices, arrays of {least} axes or more, and not {', '.join(others)}; give these to "
                "another optimizer: signopt.Groups(matrices=signopt.Muon(...), rest=signopt.Lion(...))"
            )
        for name, param in self._params.items():
            matrix_shape(tuple(param.shape), self._batch_axis, f"params[{name!r}]")

    def _checked_hyper(self, hyper: Mapping[str, Any]) -> dict[str, Any]:
        checked = super()._checked_hyper(hyper)
        triples_for(checked["ns_coefficients"], checked["ns_steps"])
        return checked

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"batch_axis": self._batch_axis}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._batch_axis = state["batch_axis"]
        super().__setstate__(state)

    def _coefficients(self) -> Coefficients:
        rest = {name: value for name, value in self._hyper.items() if name not in ("lr", "schedule", "seed")}
        return MuonCoefficients.of(lr=self._rate(), batch_axis=self._batch_axis, **rest)
