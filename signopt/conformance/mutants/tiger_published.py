"""Tigers as published implementations have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.mutants.common_published import add_gradient_again
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["PUBLISHED"]

KOZISTR = "https://github.com/kozistr/pytorch_optimizer/blob/main/pytorch_optimizer/optimizer/tiger.py"
BERT4TORCH = "https://github.com/Tongjilibo/bert4torch/blob/master/bert4torch/optimizers.py"
HAZDZZ = "https://github.com/hazdzz/Tiger/blob/main"


def _bare(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    fresh = self.blend(m, g, self.beta())
    return self.move(p, self.sign(fresh), self.lr(), self.wd()), fresh


def _bare_and_twice(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    moved, fresh = _bare(self, name, p, g, m)
    return moved, add_gradient_again(self, g, fresh)


def _begin(self: TigerPort, grads: Arrays) -> None:
    self.memo["carried"] = 1.0
    NumpyPort.step(self, grads)


def _multiplied_on(self: TigerPort, p: Array, role: str) -> Any:
    own = 0.5 if role in ("bias", "scale") else self.rms(p, role)
    self.memo["carried"] = float(np.mean(self.memo["carried"] * own)) if np.size(own) else self.memo["carried"]
    return p.dtype.type(self.lr() * self.memo["carried"])


def _count_in_bfloat16(self: TigerPort, grads: Arrays) -> None:
    NumpyPort.step(self, grads)
    self.t = min(self.t, 256)


PUBLISHED: list[Row] = [
    (
        "signum",
        "Signum with decay: no RMS, no roles, no window, no NaN rule, no schedule",
        {"update": _bare, "factor": lambda self: 1.0},
        KOZISTR,
    ),
    (
        "signsgd",
        "momentum never written and no accumulation",
        {
            "remember": lambda self, m, g: self.blend(m, g, self.beta()),
            "closes": lambda self: True,
            "tamper": lambda self, name, old, new: (new[0], old[1]),
        },
        BERT4TORCH,
    ),
    (
        "signsgd-bare",
        "the sign of a momentum that is never written: no RMS, no roles, no window, no NaN rule, no schedule",
        {"update": _bare, "factor": lambda self: 1.0, "tamper": lambda self, name, old, new: (new[0], old[1])},
        f"{HAZDZZ}/tiger.py",
    ),
    (
        "signum-gradient-twice",
        "Signum whose momentum takes the gradient again after the step: no RMS, no roles, no window, no NaN rule",
        {"update": _bare_and_twice, "factor": lambda self: 1.0},
        f"{HAZDZZ}/tiger_foreach.py",
    ),
    (
        "rate-multiplied-on",
        "the rate multiplied on from tensor to tensor by each one's RMS",
        {"step": _begin, "reach": _multiplied_on},
        f"{HAZDZZ}/tiger_su.py",
    ),
    (
        "window-count-in-bfloat16",
        "micro-steps counted in bfloat16: after 256 the count stands still",
        {"step": _count_in_bfloat16},
    ),
]
