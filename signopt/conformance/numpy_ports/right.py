"""Ports that are right: every legal order of evaluation, and every legal habit, that a real port may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.right_muon import RIGHT_MUON
from signopt.conformance.numpy_ports.right_tiger import RIGHT_TIGER, complement_coefficients
from signopt.conformance.numpy_ports.signum import SignumPort
from signopt.conformance.numpy_ports.variant import Variant, variant
from signopt.conformance.port import Arrays

__all__ = ["RIGHT_PORTS"]

HALVES = ("float16", "bfloat16")


ALL = ("float32", "float64", *HALVES)


def _fused(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    wide, kind = w.wider(m.dtype), m.dtype.type
    product = wide.type(kind(beta)) * m.astype(wide)
    return np.asarray(product + wide.type(kind(1 - beta) * g)).astype(m.dtype)


def _fused_on_gradient(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    wide, kind = w.wider(m.dtype), m.dtype.type
    product = wide.type(kind(1 - beta)) * g.astype(wide)
    return np.asarray(product + wide.type(kind(beta) * m)).astype(m.dtype)


def _torch_lerp(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    weight = m.dtype.type(1 - beta)
    if weight < 0.5:
        return m + weight * (g - m)
    return g - (g - m) * (m.dtype.type(1) - weight)


def _elementwise(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """Python floats, one element after the other."""
    h = self.hyper
    lr, wd = h["lr"], h["weight_decay"]
    beta1, beta2 = h.get("betas", (h.get("beta"),) * 2)
    new_p, new_m = np.empty_like(p), np.empty_like(m)
    for i, (x, d, v) in enumerate(zip(p.ravel().tolist(), g.ravel().tolist(), m.ravel().tolist(), strict=True)):
        kept = beta2 * v + (1.0 - beta2) * d
        c = beta1 * v + (1.0 - beta1) * d if self.rule == "lion" else kept
        s = float((c > 0) - (c < 0)) if c == c else c
        new_p.flat[i], new_m.flat[i] = x - lr * (s + wd * x), kept
    return new_p, new_m


def _chunked(width: int) -> Callable[..., tuple[Array, Array]]:
    def update(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        flat = [np.ravel(a) for a in (p, g, m)]
        new_p, new_m = np.empty_like(flat[0]), np.empty_like(flat[2])
        for start in range(0, p.size, width):
            part = slice(start, start + width)
            new_p[part], new_m[part] = w.plain(self).update(self, name, *(a[part] for a in flat))
        return new_p.reshape(p.shape), new_m.reshape(p.shape)

    return update


def _flat_buffer(self: NumpyPort, grads: Arrays) -> None:
    """One fused update over all tensors of one dtype."""
    with np.errstate(all="ignore"):
        for dtype in {p.dtype for p in self.p.values()}:
            names = [name for name, p in self.p.items() if p.dtype == dtype]
            work = self.compute(dtype)
            stacked = (np.concatenate([np.ravel(a[n]).astype(work) for n in names]) for a in (self.p, grads, self.m))
            new = self.update(names[0], *stacked)
            cuts = np.cumsum([self.p[n].size for n in names])[:-1]
            for name, p, m in zip(names, np.split(new[0], cuts), np.split(new[1], cuts), strict=True):
                self.keep(name, p.reshape(self.p[name].shape), m.reshape(self.p[name].shape))
    self.t += 1


def _refuses(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    betas = hyper.get("betas", (hyper.get("beta"),))
    if hyper["lr"] <= 0 or min(betas) <= 0 or any(p.size == 0 for p in params.values()):
        raise ValueError("lr and betas must be positive and tensors not empty")
    NumpyPort.init(self, params, hyper, momentum)


def _refuses_momentum(
    self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None
) -> None:
    if momentum is not None:
        raise NotImplementedError("starts from zero")
    NumpyPort.init(self, params, hyper)


def _configures_single(self: NumpyPort, hyper: Mapping[str, Any]) -> None:
    NumpyPort.configure(self, w.as_single(hyper))


def _complement_in_dtype(self: NumpyPort, beta: float, dtype: np.dtype[Any]) -> Any:
    return dtype.type(1) - dtype.type(beta)


def _flushed(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    on_m = w.flush(np.asarray(m.dtype.type(beta) * w.flush(m)))
    on_g = w.flush(np.asarray(m.dtype.type(1 - beta) * w.flush(g)))
    return w.flush(np.asarray(on_m + on_g))


def _flushed_move(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return w.flush(np.asarray(NumpyPort.move(self, w.flush(p), s, lr, wd)))


def _decay_first(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p * np.asarray(1 - np.asarray(lr, np.float64) * wd, p.dtype) - np.asarray(lr, p.dtype) * s


def _decay_first_in_dtype(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    lr, wd = np.asarray(lr, p.dtype), np.asarray(wd, p.dtype)
    return p * (p.dtype.type(1) - lr * wd) - lr * s


def _decay_folded(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p - (np.asarray(lr, p.dtype) * s + np.asarray(np.asarray(lr, np.float64) * wd, p.dtype) * p)


def _decay_subtracted(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    lr = np.asarray(lr, p.dtype)
    return p - lr * (np.asarray(wd, p.dtype) * p) - lr * s


def _negated(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p + -np.asarray(lr, p.dtype) * (np.asarray(wd, p.dtype) * p + s)


def _skips_zero_decay(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return NumpyPort.move(self, p, s, lr, wd) if np.any(wd) else p - np.asarray(lr, p.dtype) * s


def _comparing(self: NumpyPort, c: Array) -> Array:
    zero = c.dtype.type(0)
    return np.where(c > 0, c.dtype.type(1), np.where(c < 0, c.dtype.type(-1), np.where(c == 0, zero, c)))


def _kept_wide(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    NumpyPort.init(self, params, hyper, momentum)
    self.m = {name: value.astype(np.float64) for name, value in self.m.items()}


def _kept_narrow(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    NumpyPort.init(self, params, hyper, momentum)
    self.m = {name: value.astype(np.float16) for name, value in self.m.items()}


def _blocks_and_tail(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return np.where(w.tail(8)(p), NumpyPort.move(self, p, s, lr, wd), _decay_first(self, p, s, lr, wd))


def _read_only(self: NumpyPort) -> Arrays:
    views = {name: value.T.copy().T for name, value in self.p.items()}
    for view in views.values():
        view.flags.writeable = False
    return views


_ARITHMETIC: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("plain", "multiply-add, one bracket", {}),
    ("decay-first", "θ·(1−ηλ) first, 1−ηλ in double", {"move": _decay_first}),
    ("decay-first-in-dtype", "θ·(1−ηλ) first, 1−ηλ in the dtype", {"move": _decay_first_in_dtype}),
    ("decay-folded", "ηλ as one coefficient", {"move": _decay_folded}),
    ("decay-subtracted", "decay and step subtracted one after the other", {"move": _decay_subtracted}),
    ("negated-rate", "−η times the bracket added", {"move": _negated}),
    ("no-decay-branch", "no decay term where λ = 0", {"move": _skips_zero_decay}),
    (
        "double-inside",
        "double arithmetic, rounded once",
        {"compute": lambda self, dtype: np.dtype(np.float64)},
    ),
    (
        "long-double-inside",
        "x87 arithmetic, rounded once",
        {"compute": lambda self, dtype: np.dtype(np.longdouble)},
    ),
    ("sign-by-comparison", "sign by comparisons", {"sign": _comparing}),
    (
        "sign-nan-zero",
        "sign(NaN) = 0, declared",
        {"sign": lambda self, c: np.nan_to_num(np.sign(c)), "declared": {"nan": "zero"}},
    ),
    (
        "live-arrays",
        "hands out its own arrays",
        {"params": lambda self: self.p, "momentum": lambda self: self.m},
    ),
    ("read-only-arrays", "hands out read-only arrays in Fortran order", {"params": _read_only}),
    ("momentum-hidden", "does not show its momentum", {"momentum": lambda self: None}),
    ("momentum-unsettable", "always starts from zero momentum", {"init": _refuses_momentum}),
    (
        "momentum-hidden-unsettable",
        "neither shows its momentum nor lets it be set",
        {"momentum": lambda self: None, "init": _refuses_momentum},
    ),
    (
        "hidden-decay-first",
        "decay first, momentum not shown",
        {"momentum": lambda self: None, "move": _decay_first},
    ),
    ("refuses-edges", "refuses a rate or beta of 0 and empty tensors", {"init": _refuses}),
    ("tensors-reversed", "updates the last tensor first", {"visit": lambda self: reversed(list(self.p))}),
)


_BLENDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("fused-momentum", "one rounding less: β·m inside a fused multiply-add", {"blend": _fused}),
    (
        "fused-gradient",
        "one rounding less: (1−β)·g inside a fused multiply-add",
        {"blend": _fused_on_gradient},
    ),
    ("lerp", "m + (1−β)·(g−m)", {"blend": lambda self, m, g, beta: m + m.dtype.type(1 - beta) * (g - m)}),
    ("lerp-torch", "lerp with the two branches that torch takes", {"blend": _torch_lerp}),
    ("difference", "(m−g)·β + g", {"blend": lambda self, m, g, beta: (m - g) * m.dtype.type(beta) + g}),
    ("complement-in-dtype", "1−β from the rounded β", {"complement": _complement_in_dtype}),
    (
        "complement-in-dtype-decay-first",
        "1−β from the rounded β, decay first",
        {"complement": _complement_in_dtype, "move": _decay_first_in_dtype},
    ),
    (
        "lerp-decay-first",
        "lerp and decay first",
        {"blend": lambda self, m, g, beta: m + m.dtype.type(1 - beta) * (g - m), "move": _decay_first},
    ),
    (
        "difference-hidden",
        "(m−g)·β + g, momentum not shown",
        {"blend": lambda self, m, g, beta: (m - g) * m.dtype.type(beta) + g, "momentum": lambda self: None},
    ),
    (
        "complement-in-dtype-hidden",
        "1−β from the rounded β, momentum not shown",
        {"complement": _complement_in_dtype, "momentum": lambda self: None},
    ),
    ("python-floats", "a loop over Python floats", {"update": _elementwise}),
    ("chunks-of-7", "seven elements at a time", {"update": _chunked(7)}),
    ("chunks-of-1024", "1024 elements at a time", {"update": _chunked(1024)}),
    ("flat-buffer", "all tensors in one flat buffer", {"step": _flat_buffer}),
    (
        "subnormals-flushed",
        "subnormals flushed, declared",
        {"blend": _flushed, "move": _flushed_move, "declared": {"subnormals": "flush"}},
    ),
    (
        "momentum-narrow-declared",
        "momentum kept in float16, declared",
        {"init": _kept_narrow, "declared": {"momentum_dtype": "float16"}},
    ),
    (
        "momentum-narrow-hidden",
        "momentum kept in float16, declared and not shown",
        {"init": _kept_narrow, "declared": {"momentum_dtype": "float16"}, "momentum": lambda self: None},
    ),
    (
        "hyper-single-declared",
        "hyperparameters of a float64 port held in float32, declared",
        {"init": w.single_init, "configure": _configures_single, "declared": {"hyper": "float32"}},
    ),
    (
        "blocks-and-tail-unsettable",
        "one order in whole blocks of eight and another in the tail; momentum from zero",
        {"move": _blocks_and_tail, "init": _refuses_momentum},
    ),
    (
        "momentum-kept-wide",
        "momentum kept in double and not shown",
        {
            "init": _kept_wide,
            "compute": lambda self, dtype: np.dtype(np.float64),
            "momentum": lambda self: None,
        },
    ),
)


def _half(rule: str) -> tuple[Variant, ...]:
    return (
        variant(
            rule,
            "halves",
            "float16 and bfloat16 with float32 arithmetic",
            dtypes=ALL,
            declared={"dtypes": list(ALL)},
        ),
        variant(
            rule,
            "halves-decay-first",
            "16 bits, decay first",
            dtypes=ALL,
            move=_decay_first,
            declared={"dtypes": list(ALL)},
        ),
        variant(
            rule,
            "halves-hidden",
            "16 bits, momentum not shown",
            dtypes=ALL,
            momentum=lambda self: None,
            declared={"dtypes": list(ALL)},
        ),
    )


def _single_only(rule: str) -> tuple[Variant, ...]:
    """Ports of float32 alone, whose hyperparameters are rounded to it."""
    single: dict[str, Any] = {
        "init": w.single_init,
        "configure": _configures_single,
        "declared": {"dtypes": ["float32"]},
    }
    complement = {"coefficients": complement_coefficients} if rule == "tiger" else {"complement": _complement_in_dtype}
    return (
        variant(rule, "float32-hyper", "float32 alone, hyperparameters held in it", dtypes=("float32",), **single),
        variant(
            rule,
            "float32-complement",
            "float32 alone, 1−β from the rounded β",
            dtypes=("float32",),
            **single,
            **complement,
        ),
    )


def _right(rule: str, *tables: tuple[tuple[str, str, dict[str, Any]], ...]) -> tuple[Variant, ...]:
    rows = (variant(rule, key, summary, **pieces) for table in tables for key, summary, pieces in table)
    return (*rows, *_half(rule), *_single_only(rule))


def _sign_descent(self: Any, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if self.beta():
        return SignumPort.update(self, name, p, g, m)
    s = self.sign(g)
    return self.move(p, s, self.lr(), self.decay(name, p, s)), m


def _shown_if_read(self: Any) -> Any:
    return NumpyPort.momentum(self) if self.beta() else None


_SIGN_DESCENT = (
    (
        "sign-descent-at-zero",
        "with β = 0 no momentum is read, written or shown",
        {"update": _sign_descent, "momentum": _shown_if_read},
    ),
)

_OF_SIGNS = ("plain", "sign-", "python-", "chunks", "flat-", "blocks-", "refuses-", "subnormals-")


def _elementwise_habits(rule: str) -> tuple[Variant, ...]:
    """The ports of the tables above whose peculiarity is neither a sign nor a cut through a tensor."""
    rows = (row for table in (_ARITHMETIC, _BLENDS) for row in table if not row[0].startswith(_OF_SIGNS))
    return (*(variant(rule, key, summary, **pieces) for key, summary, pieces in rows), *_single_only(rule))


RIGHT_PORTS: Mapping[str, tuple[Variant, ...]] = {
    "lion": _right("lion", _ARITHMETIC, _BLENDS),
    "signum": _right("signum", _ARITHMETIC, _BLENDS, _SIGN_DESCENT),
    "tiger": _right("tiger", _ARITHMETIC, RIGHT_TIGER),
    "muon": (*_elementwise_habits("muon"), *RIGHT_MUON),
}

"""For each rule the ports that no check may accuse."""
