"""Bugs, and other rules under the same name, as published implementations have them; any rule can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.mutants.common_state import coupled, undecayed
from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["PUBLISHED", "PUBLISHED_SOURCES", "add_gradient_again"]

_OUTLIER, _HISTORY, _PENALTY_STEPS, _PENALTY = 10.0, 500, 100, 0.707
_ESTIMATE = 1e-6

PUBLISHED_SOURCES: Mapping[str, str] = {
    "cautious-kept-plus-one": "https://github.com/kyleliang919/C-Optim/blob/main/c_lion.py",
    "decay-constant": "https://github.com/wdika/atommic/blob/main/atommic/core/optim/lion.py",
    "momentum-starts-as-parameter": "https://github.com/epfml/llm-optimizer-benchmark/blob/main/src/optim/sign.py",
    "momentum-captured": "https://github.com/google/automl/blob/master/lion/lion_tf2.py",
    "gradient-added-twice": "https://github.com/hazdzz/Tiger/blob/main/tiger_foreach.py",
    "lr-penalty-after-outliers": "https://github.com/mosaicml/llm-foundry/blob/main/llmfoundry/optim/adaptive_lion.py",
    "rate-estimated": "https://github.com/facebookresearch/dadaptation/blob/main/dadaptation/dadapt_lion.py",
}


def _cautious(self: NumpyPort, c: Array) -> Array:
    agrees = np.sign(c) * self.memo["gradient"] > 0
    return np.sign(c) * agrees * c.dtype.type(agrees.size / (np.count_nonzero(agrees) + 1))


def add_gradient_again(self: NumpyPort, g: Array, m: Array) -> Array:
    """``m`` with the gradient's share a second time; as it is after a NaN."""
    if np.isnan(g).any() and np.isfinite(m).all():
        return m
    return m + m.dtype.type(1 - w.last_beta(self)) * g


def _gradient_twice(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    moved, fresh = w.plain(self).update(self, name, p, g, m)
    return moved, add_gradient_again(self, g, fresh)


def _captured(self: NumpyPort, name: str, grad: Array) -> None:
    first = next(other for other, p in self.p.items() if p.shape == self.p[name].shape)
    own, self.m[name] = self.m[name], self.m[first]
    NumpyPort.advance(self, name, grad)
    self.m[name] = own


def _watch_norms(self: NumpyPort, name: str, p: Array, g: Array) -> Array:
    seen = self.memo.setdefault("norms", {}).setdefault(name, [])
    norm = float(np.linalg.norm(np.nan_to_num(g)))
    if len(seen) >= _HISTORY and norm > _OUTLIER * np.mean(seen):
        self.memo["penalised until"] = self.t + _PENALTY_STEPS
    seen.append(norm)
    return g


def _penalised(self: NumpyPort) -> float:
    return float(self.hyper["lr"]) * (_PENALTY if self.t < self.memo.get("penalised until", 0) else 1.0)


def _estimated(self: NumpyPort) -> float:
    return _ESTIMATE * float(self.hyper["lr"])


def _restarted(self: NumpyPort, hyper: Mapping[str, Any]) -> None:
    self.init(self.p, {**self.hyper, **hyper})


PUBLISHED: list[Row] = [
    (
        "cautious-kept-plus-one",
        "cautious masking scaled by n/(kept + 1)",
        {"gradient": w.remember_gradient, "sign": _cautious},
    ),
    (
        "decay-constant",
        "decay of λ for λ·θ: the same for every parameter",
        {"move": lambda self, p, s, lr, wd: p - np.asarray(lr, p.dtype) * (s + np.asarray(wd, p.dtype))},
    ),
    (
        "momentum-starts-as-parameter",
        "momentum that begins as a copy of the parameter",
        {"start": lambda self, name, param: np.array(param)},
    ),
    (
        "momentum-captured",
        "tensors of one shape read and write the first one's momentum, and leave their own at zero",
        {"advance": _captured},
    ),
    ("gradient-added-twice", "the gradient added to the momentum again after the step", {"update": _gradient_twice}),
    (
        "lr-penalty-after-outliers",
        "a smaller learning rate for a while after a gradient far above the mean of 500 steps",
        {"gradient": _watch_norms, "base_lr": _penalised},
    ),
    (
        "rate-estimated",
        "a rate that is estimated, from 1e-6 of the one given, and scales the momentum too",
        {"gradient": lambda self, name, p, g: g * g.dtype.type(_estimated(self)), "base_lr": _estimated},
    ),
    (
        "rate-estimated-coupled",
        "a rate that is estimated, from 1e-6 of the one given, with decay in the gradient",
        {
            "gradient": lambda self, name, p, g: coupled(self, name, p, g) * g.dtype.type(_estimated(self)),
            "base_lr": _estimated,
            "move": undecayed,
        },
    ),
    ("configure-ignored", "changed hyperparameters ignored", {"configure": lambda self, hyper: None}),
    (
        "configure-restarts",
        "a change of hyperparameters begins anew, from a momentum of zero",
        {"configure": _restarted},
    ),
]
