"""Bugs that only a Signum port can have."""

from __future__ import annotations

from signopt.conformance.mutants.common import PYTORCH_OPTIMIZER, common
from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.signum import SignumPort
from signopt.conformance.numpy_ports.variant import Variant, of_row

__all__ = ["SIGNUM"]


def _sum(self: SignumPort, m: Array, g: Array) -> Array:
    return m.dtype.type(self.beta()) * m + g


def _lion(self: SignumPort, m: Array, g: Array) -> Array:
    return self.blend(m, g, 0.99 if self.beta() == 0.9 else self.beta() ** 0.5)


_OWN: tuple[Variant, ...] = tuple(
    of_row("signum", row)
    for row in (
        ("beta-default", "beta = 0.9 whatever is given", {"beta": lambda self: 0.9}),
        ("beta-float16", "beta held in float16", {"beta": lambda self: w.as_float16(self.hyper["beta"])}),
        ("beta-off", "beta too small by 1e-4", {"beta": lambda self: max(0.0, self.hyper["beta"] - 1e-4)}),
        (
            "beta-first-step",
            "beta of 0 at the first step",
            {"beta": lambda self: 0.0 if self.t == 0 else self.hyper["beta"]},
        ),
        (
            "beta-squared-complement",
            "1−β² for 1−β",
            {"complement": lambda self, beta, dtype: dtype.type(1 - beta * beta)},
        ),
        (
            "beta-complement-float16",
            "1−β held in float16",
            {"complement": lambda self, beta, dtype: dtype.type(w.as_float16(1 - beta))},
        ),
        ("beta-dampening-missing", "m = β·m + g, without 1−β", {"remember": _sum}),
        ("beta-exchanged", "m = (1−β)·m + β·g", {"remember": lambda self, m, g: self.blend(g, m, self.beta())}),
        ("beta-zero", "signSGD whatever beta is given", {"beta": lambda self: 0.0}, PYTORCH_OPTIMIZER),
        ("look-old-momentum", "the sign of the old momentum", {"look": lambda self, m, g, fresh: m}),
        (
            "look-cut-near-zero",
            "a momentum within 8 ulp of its terms taken as zero",
            {"look": lambda self, m, g, fresh: w.cut(fresh, m)},
        ),
        ("look-gradient", "the sign of the gradient", {"look": lambda self, m, g, fresh: g}),
        (
            "look-nesterov",
            "Nesterov: the sign of β·m + (1−β)·g with the new m",
            {"look": lambda self, m, g, fresh: self.blend(fresh, g, self.beta())},
        ),
        (
            "lion",
            "the sign of β·m + (1−β)·g kept apart from a slower momentum: Lion",
            {"remember": _lion, "look": lambda self, m, g, fresh: self.blend(m, g, self.beta())},
        ),
        (
            "momentum-bias-corrected",
            "momentum divided by 1−β^t",
            {
                "remember": lambda self, m, g: (
                    self.blend(m, g, self.beta()) / m.dtype.type(1 - self.beta() ** (self.t + 1))
                )
            },
        ),
    )
)

SIGNUM: tuple[Variant, ...] = (*_OWN, *common("signum"))
