"""This library's torch optimizers as ports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from signopt._version import __version__
from signopt.conformance.adapters.candidate import Candidate
from signopt.conformance.adapters.torch import TorchPort
from signopt.conformance.oracle.rules import OPTIMIZERS
from signopt.conformance.port import Port
from signopt.roles import role_of
from signopt.rules import UPDATES

__all__ = ["OWN_TORCH"]

Keywords = Mapping[str, Any]


def _build(rule: str) -> Callable[[list[Any], Keywords], Any]:
    def build(params: list[Any], hyper: Keywords) -> Any:
        import signopt.torch

        return getattr(signopt.torch, rule.title())(params, **hyper)

    return build


def _tiger(named: list[Any], hyper: Keywords) -> Any:
    import signopt.torch

    roles = hyper.get("roles") or {}
    groups = [{"params": [param], "role": roles.get(name, role_of(name))} for name, param in named]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zero matrices are among the cases
        return signopt.torch.Tiger(groups, **_numbers(hyper))


def _numbers(hyper: Keywords) -> Keywords:
    return {name: value for name, value in hyper.items() if name != "roles"}


def _muon(params: list[Any], hyper: Keywords) -> Any:
    import signopt.torch

    return signopt.torch.Muon(params, **_momentum_named(hyper))


def _momentum_named(hyper: Keywords) -> Keywords:
    return {"momentum" if name == "beta" else name: value for name, value in hyper.items()}


def _no_steps(param: Any) -> Keywords:
    import torch

    return {"step": torch.zeros((), dtype=torch.int64)}


def _port(rule: str, device: str) -> Port:
    declarations: dict[str, Any] = {
        "device": device,
        "version": __version__,
        "dtypes": ["float32", "float64", "float16", "bfloat16"],
        "decay": "bracket",
        "form": "mul-add",
    }
    if rule == "muon":
        declarations |= {"momentum_form": "ema", "eps_form": "add", "range": "scaled"}
        return TorchPort(_NAMES[device], rule, _muon, _momentum_named, "momentum", **declarations)
    declarations["nan"] = "propagate"
    if rule == "tiger":
        return TorchPort(_NAMES[device], rule, _tiger, _numbers, "momentum", _no_steps, named=True, **declarations)
    return TorchPort(_NAMES[device], rule, _build(rule), dict, "momentum", **declarations)


def _candidate(rule: str, device: str) -> Candidate:
    build = partial(_port, rule, device)
    return Candidate(_NAMES[device], rule, "signopt", ("signopt", "torch"), build, device=device)


_NAMES = {"cpu": "signopt/torch", "cuda": "signopt/torch, CUDA"}

OWN_TORCH: tuple[Candidate, ...] = tuple(
    _candidate(rule, device) for device in _NAMES for rule in OPTIMIZERS if rule in UPDATES
)
"""Every rule that has a judge, as :mod:`signopt.torch` offers it, on either device."""
