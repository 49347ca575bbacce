"""The published Muons that the suite knows how to drive.

What a row declares was read from the source of the version that the requirements of the field pin: which
hyperparameters have no argument, in which dtype the iteration is computed, whether ε is added, which axis is that of
the outputs. An argument that a class does not have is refused if it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from signopt.conformance.adapters.candidate import Candidate, version_of
from signopt.conformance.adapters.keras import KerasPort
from signopt.conformance.adapters.mlx import MlxPort
from signopt.conformance.adapters.muon_arguments import Keywords, chosen, listed, triple
from signopt.conformance.adapters.muon_torch import TORCH_MUONS
from signopt.conformance.adapters.optax import OptaxPort
from signopt.conformance.port import Arrays, Port

__all__ = ["MUONS"]


def _of_optax(hyper: Keywords) -> Any:
    contrib = import_module("optax.contrib")
    return contrib.muon(
        hyper["lr"], listed(hyper), hyper["ns_steps"], hyper["beta"], hyper["eps"], hyper["weight_decay"],
        nesterov=hyper["nesterov"], consistent_rms=chosen(hyper, None, 0.2),
    )  # fmt: skip


def _optax() -> Port:
    return OptaxPort(
        "optax", "muon", _of_optax, op_by_op=True,
        version=version_of("optax"), subnormals="flush", layout="in_out", eps_form="add", momentum_form="ema",
        decay="bracket",
    )  # fmt: skip


def _of_keras(hyper: Keywords) -> dict[str, Any]:
    a, b, c = triple(hyper)
    return {
        "learning_rate": hyper["lr"], "weight_decay": hyper["weight_decay"], "momentum": hyper["beta"],
        "nesterov": hyper["nesterov"], "ns_steps": hyper["ns_steps"], "muon_a": a, "muon_b": b, "muon_c": c,
    }  # fmt: skip


def _keras(backend: str, **choices: Any) -> Candidate:
    def build() -> Port:
        return KerasPort(
            f"keras/{backend}", "muon",
            lambda hyper: import_module("keras").optimizers.Muon(**_of_keras(hyper), exclude_embeddings=False),
            _of_keras, "momentums",
            version=version_of("keras"), momentum_form="sum", eps_form="add", decay="first",
            fixed=("eps", "adjust_lr_fn"), defaults={"adjust_lr_fn": "match_rms_adamw"}, **choices,
        )  # fmt: skip

    return Candidate(f"keras/{backend}", "muon", "keras", ("keras", backend), build, {"KERAS_BACKEND": backend})


class _MlxMuon(MlxPort):
    """A Muon on MLX: which class it is, the attributes that hold the hyperparameters, and the key of the momentum."""

    def __init__(
        self, name: str, build: Callable[[], Any], names: Mapping[str, str], key: str, **declared: Any
    ) -> None:
        super().__init__(name, "muon", **declared)
        self._build, self._names, self._key = build, names, key

    def init(self, params: Arrays, hyper: Keywords, momentum: Arrays | None = None) -> None:
        """Initialise the optimizer over ``params`` and write ``momentum`` into its state."""
        mx = import_module("mlx.core")
        self._params = {name: mx.array(np.array(param, order="C")) for name, param in params.items()}
        self._optimizer = self._build()
        self.configure(hyper)
        self._optimizer.init(self._params)
        for name, start in (momentum or {}).items():
            self._optimizer.state[name][self._key] = mx.array(np.array(start, order="C"))

    def configure(self, hyper: Keywords) -> None:
        """Change the hyperparameters of the live optimizer."""
        for name, attribute in self._names.items():
            setattr(self._optimizer, attribute, hyper[name])

    def momentum(self) -> Arrays:
        """Return the momentum of every parameter."""
        return {name: np.array(self._optimizer.state[name][self._key]) for name in self._params}


_MLX = {"lr": "learning_rate", "beta": "momentum", "nesterov": "nesterov"}


def _mlx() -> Port:
    return _MlxMuon(
        "mlx", lambda: import_module("mlx.optimizers").Muon(1.0),
        {**_MLX, "weight_decay": "weight_decay", "ns_steps": "ns_steps"}, "v",
        version=version_of("mlx"), dtypes=("float32",), momentum_form="ema", eps_form="add",
        fixed=("ns_coefficients", "eps", "adjust_lr_fn"),
    )  # fmt: skip


def _mlx_optimizers() -> Port:
    return _MlxMuon(
        "mlx-optimizers", lambda: import_module("mlx_optimizers").Muon(), {**_MLX, "ns_steps": "backend_steps"},
        "muon_buf",
        version=version_of("mlx-optimizers"), dtypes=("float32",), ns_dtype="bfloat16", momentum_form="sum",
        eps_form="add", fixed=("weight_decay", "ns_coefficients", "eps", "adjust_lr_fn"),
        other_rule=("vectors", "axes"), defaults={"weight_decay": 0.0},
    )  # fmt: skip


def _row(name: str, distribution: str, modules: tuple[str, ...], build: Callable[[], Port]) -> Candidate:
    return Candidate(name, "muon", distribution, modules, build)


MUONS: tuple[Candidate, ...] = (
    *TORCH_MUONS,
    _row("optax", "optax", ("jax", "optax"), _optax),
    _keras("torch"),
    _keras("jax", subnormals="flush"),
    _keras("tensorflow", subnormals="flush"),
    _row("mlx", "mlx", ("mlx",), _mlx),
    _row("mlx-optimizers", "mlx-optimizers", ("mlx", "mlx_optimizers"), _mlx_optimizers),
)
