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

from signopt.conformance.adapters.candidate import Candidate, lone_module, version_of
from signopt.conformance.adapters.keras import KerasPort
from signopt.conformance.adapters.mlx import MlxPort
from signopt.conformance.adapters.optax import OptaxPort
from signopt.conformance.adapters.torch import TorchPort
from signopt.conformance.port import Arrays, Port

__all__ = ["MUONS"]

Keywords = Mapping[str, Any]
_OWN_COEFFICIENTS = ("ns_coefficients", "eps")
_PLAIN = ("original", None)


def _triple(hyper: Keywords) -> tuple[float, ...]:
    """The coefficients if only one triple can be given."""
    given = hyper["ns_coefficients"]
    if np.ndim(given) != 1:
        raise ValueError("one triple of coefficients for all applications")
    return tuple(given)


def _choice(hyper: Keywords, original: Any, matched: Any) -> Any:
    return original if hyper["adjust_lr_fn"] in _PLAIN else matched


def _of_torch(hyper: Keywords) -> Keywords:
    names = ("lr", "weight_decay", "nesterov", "eps", "ns_steps", "adjust_lr_fn")
    return {**{name: hyper[name] for name in names}, "momentum": hyper["beta"], "ns_coefficients": _triple(hyper)}


def _torch() -> Port:
    return TorchPort(
        "torch", "muon", lambda params, hyper: import_module("torch").optim.Muon(params, **_of_torch(hyper)),
        _of_torch, "momentum_buffer",
        version=version_of("torch"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema", decay="first",
        dtypes=("float32", "float64", "bfloat16"), compute="storage",
    )  # fmt: skip


def _of_timm(hyper: Keywords) -> Keywords:
    if hyper["adjust_lr_fn"] is None:
        raise ValueError("without adjust_lr_fn this Muon has no scale at all, by its documentation")
    names = ("lr", "weight_decay", "nesterov", "eps", "ns_steps", "adjust_lr_fn")
    return {**{name: hyper[name] for name in names}, "momentum": hyper["beta"], "ns_coefficients": _listed(hyper)}


def _timm() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        group = {"params": params, "use_muon": True, **_of_timm(hyper)}
        return lone_module("timm.optim.muon").Muon([group])

    return TorchPort(
        "timm", "muon", build, _of_timm, "momentum_buffer", {"use_muon": True},
        version=version_of("timm"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema", decay="first",
    )  # fmt: skip


def _of_jordan(hyper: Keywords) -> Keywords:
    return {"lr": hyper["lr"], "weight_decay": hyper["weight_decay"], "momentum": hyper["beta"]}


def _jordan() -> Port:
    return TorchPort(
        "muon-optimizer", "muon",
        lambda params, hyper: import_module("muon").SingleDeviceMuon(params, **_of_jordan(hyper)),
        _of_jordan, "momentum_buffer",
        version=version_of("muon-optimizer"), ns_dtype="bfloat16", eps_form="add", momentum_form="ema", decay="first",
        fixed=("nesterov", "ns_coefficients", "ns_steps", "eps", "adjust_lr_fn"),
    )  # fmt: skip


def _of_pytorch_optimizer(hyper: Keywords) -> Keywords:
    return {
        "lr": hyper["lr"], "momentum": hyper["beta"], "weight_decay": hyper["weight_decay"],
        "nesterov": hyper["nesterov"], "ns_steps": hyper["ns_steps"], "ns_coeffs": _listed(hyper),
        "use_adjusted_lr": _choice(hyper, False, True),
    }  # fmt: skip


def _listed(hyper: Keywords) -> Any:
    given = hyper["ns_coefficients"]
    return tuple(given) if np.ndim(given) == 1 else [tuple(each) for each in given]


def _pytorch_optimizer() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        group = {"params": params, "use_muon": True, **_of_pytorch_optimizer(hyper)}
        return import_module("pytorch_optimizer").Muon([group])

    return TorchPort(
        "pytorch-optimizer", "muon", build, _of_pytorch_optimizer, "momentum_buffer",
        version=version_of("pytorch-optimizer"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema",
        decay="first", fixed=("eps",),
    )  # fmt: skip


def _of_optax(hyper: Keywords) -> Any:
    contrib = import_module("optax.contrib")
    return contrib.muon(
        hyper["lr"], _listed(hyper), hyper["ns_steps"], hyper["beta"], hyper["eps"], hyper["weight_decay"],
        nesterov=hyper["nesterov"], consistent_rms=_choice(hyper, None, 0.2),
    )  # fmt: skip


def _optax() -> Port:
    return OptaxPort(
        "optax", "muon", _of_optax, op_by_op=True,
        version=version_of("optax"), subnormals="flush", layout="in_out", eps_form="add", momentum_form="ema",
        decay="bracket",
    )  # fmt: skip


def _of_keras(hyper: Keywords) -> dict[str, Any]:
    a, b, c = _triple(hyper)
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
    """MLX's Muon; its state has the key "v"."""

    def init(self, params: Arrays, hyper: Keywords, momentum: Arrays | None = None) -> None:
        """Initialise the optimizer over ``params`` and write ``momentum`` into its state."""
        mx, optimizers = import_module("mlx.core"), import_module("mlx.optimizers")
        self._params = {name: mx.array(np.array(param, order="C")) for name, param in params.items()}
        self._optimizer = optimizers.Muon(
            hyper["lr"], hyper["beta"], hyper["weight_decay"], hyper["nesterov"], hyper["ns_steps"]
        )
        self._optimizer.init(self._params)
        for name, start in (momentum or {}).items():
            self._optimizer.state[name]["v"] = mx.array(np.array(start, order="C"))

    def configure(self, hyper: Keywords) -> None:
        """Change the hyperparameters of the live optimizer."""
        optimizer: Any = self._optimizer
        optimizer.learning_rate, optimizer.momentum = hyper["lr"], hyper["beta"]
        optimizer.weight_decay = hyper["weight_decay"]
        optimizer.nesterov, optimizer.ns_steps = hyper["nesterov"], hyper["ns_steps"]

    def momentum(self) -> Arrays:
        """Return the momentum of every parameter."""
        return {name: np.array(self._optimizer.state[name]["v"]) for name in self._params}


def _mlx() -> Port:
    return _MlxMuon(
        "mlx", "muon",
        version=version_of("mlx"), dtypes=("float32",), momentum_form="ema", eps_form="add",
        fixed=(*_OWN_COEFFICIENTS, "adjust_lr_fn"),
    )  # fmt: skip


def _row(name: str, distribution: str, modules: tuple[str, ...], build: Callable[[], Port]) -> Candidate:
    return Candidate(name, "muon", distribution, modules, build)


MUONS: tuple[Candidate, ...] = (
    _row("torch", "torch", ("torch",), _torch),
    _row("muon-optimizer", "muon-optimizer", ("torch", "muon"), _jordan),
    _row("timm", "timm", ("torch", "timm"), _timm),
    _row("pytorch-optimizer", "pytorch-optimizer", ("torch", "pytorch_optimizer"), _pytorch_optimizer),
    _row("optax", "optax", ("jax", "optax"), _optax),
    _keras("torch"),
    _keras("jax", subnormals="flush"),
    _keras("tensorflow", subnormals="flush"),
    _row("mlx", "mlx", ("mlx",), _mlx),
)
