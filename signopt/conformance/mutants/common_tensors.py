"""Wrong handling of tensors, elements and values that a port of any rule can have."""

from __future__ import annotations

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["DOUBLE_ONLY", "TENSORS", "VALUES"]


def _by_position(self: NumpyPort, grads: Arrays, name: str) -> Array:
    return grads[sorted(grads)[list(self.p).index(name)]]


def _overwrites_gradient(self: NumpyPort, grads: Arrays, name: str) -> Array:
    given = grads[name].copy()
    grads[name][...] = given * given.dtype.type(0.5)
    return given


def _stops_at_empty(self: NumpyPort) -> list[str]:
    sizes = [p.size for p in self.p.values()]
    return list(self.p)[: sizes.index(0) if 0 in sizes else None]


def _norm_clipped(self: NumpyPort, name: str, p: Array, g: Array) -> Array:
    norm = float(np.linalg.norm(np.nan_to_num(g)))
    return g if norm <= 1 else g * g.dtype.type(1 / norm)


def _without_row_0(self: NumpyPort, name: str, p: Array, g: Array) -> Array:
    return g - g.mean(axis=0, keepdims=True) if g.ndim > 1 and g.size else g


def _square_transposed(self: NumpyPort, grads: Arrays, name: str) -> Array:
    g = grads[name]
    return g.T if g.ndim == 2 and g.shape[0] == g.shape[1] else g


TENSORS: list[Row] = [
    ("tensor-first-only", "only the first tensor updated", {"visit": lambda self: list(self.p)[:1]}),
    (
        "tensor-last-skipped",
        "the last of several tensors skipped",
        {"visit": lambda self: list(self.p)[: max(1, len(self.p) - 1)]},
    ),
    (
        "tensor-second-skipped",
        "the second tensor skipped",
        {"visit": lambda self: [name for i, name in enumerate(self.p) if i != 1]},
    ),
    (
        "tensor-table-overflow",
        "tensors beyond the 30th skipped (a full kernel table)",
        {"visit": lambda self: list(self.p)[:30]},
    ),
    ("tensor-empty-ends", "tensors after an empty one skipped", {"visit": _stops_at_empty}),
    ("tensor-by-position", "gradients matched by the sorted order of names", {"fetch": _by_position}),
    *(
        (
            f"tail-{width}-skipped",
            f"elements after the last block of {width} skipped",
            {"tamper": w.skip(w.tail(width))},
        )
        for width in (4, 8, 16, 32, 1024)
    ),
    ("tail-4-doubled", "elements after the last block of 4 updated twice", {"tamper": w.twice(w.tail(4))}),
    ("tail-32-doubled", "elements after the last block of 32 updated twice", {"tamper": w.twice(w.tail(32))}),
    (
        "tail-of-13-short",
        "the last element skipped where 13 are left over from blocks of 16",
        {"tamper": w.skip(lambda p: (w.positions(p) == p.size - 1) & (p.size % 16 == 13))},
    ),
    (
        "element-last-skipped",
        "the last element of a tensor skipped",
        {"tamper": w.skip(lambda p: w.positions(p) == max(1, p.size - 1))},
    ),
    ("element-0d-skipped", "0-d tensors skipped", {"tamper": w.skip(lambda p: p.ndim == 0)}),
    ("element-single-skipped", "tensors of one element skipped", {"tamper": w.skip(lambda p: p.size == 1)}),
    (
        "element-256-repeated",
        "the first element of a block of 256 updated twice",
        {"tamper": w.twice(w.at(lambda i: (i > 0) & (i % 256 == 0)))},
    ),
    ("chunk-4096-skipped", "elements from 4096 on skipped", {"tamper": w.skip(w.at(lambda i: i >= 4096))}),
    (
        "chunk-4096-repeated",
        "the first element of the second chunk of 4096 updated twice",
        {"tamper": w.twice(w.at(lambda i: i == 4096))},
    ),
    (
        "chunk-65536-skipped",
        "elements from 65 536 on skipped",
        {"tamper": w.skip(w.at(lambda i: i >= 65536))},
    ),
    (
        "strides-ignored",
        "a strided gradient read as if contiguous",
        {"fetch": lambda self, grads, name: w.misread(grads, name)},
    ),
    (
        "strides-transposed",
        "a transposed gradient read in memory order",
        {"fetch": lambda self, grads, name: grads[name].ravel(order="K").reshape(grads[name].shape)},
    ),
    ("square-transposed", "square gradients transposed", {"fetch": _square_transposed}),
    ("gradient-spoiled", "the caller's gradient overwritten", {"fetch": _overwrites_gradient}),
]


VALUES: list[Row] = [
    (
        "gradient-clipped",
        "the gradient clipped to ±1",
        {"gradient": lambda self, name, p, g: np.clip(g, -1, 1)},
    ),
    (
        "gradient-clipped-large",
        "the gradient clipped to ±1e4",
        {"gradient": lambda self, name, p, g: np.clip(g, -1e4, 1e4)},
    ),
    ("gradient-norm-clipped", "the gradient clipped to norm 1", {"gradient": _norm_clipped}),
    (
        "gradient-centralised",
        "the gradient's mean over the first axis subtracted",
        {"gradient": _without_row_0},
    ),
    (
        "gradient-nan-zeroed",
        "NaN in the gradient replaced by zero",
        {"gradient": lambda self, name, p, g: np.where(np.isnan(g), 0, g).astype(g.dtype)},
    ),
    (
        "gradient-inf-clipped",
        "Inf in the gradient replaced by zero",
        {"gradient": lambda self, name, p, g: np.where(np.isinf(g), 0, g).astype(g.dtype)},
    ),
    (
        "gradient-inf-largest",
        "Inf in the gradient replaced by the largest number",
        {"gradient": lambda self, name, p, g: np.clip(g, np.finfo(g.dtype).min, np.finfo(g.dtype).max)},
    ),
    (
        "gradient-float16",
        "the gradient passed through float16",
        {"gradient": lambda self, name, p, g: g.astype(np.float16).astype(g.dtype)},
    ),
    (
        "gradient-bfloat16",
        "the gradient passed through bfloat16",
        {"gradient": lambda self, name, p, g: w.bfloat16(g)},
    ),
    (
        "gradient-flushed",
        "subnormal gradients flushed, undeclared",
        {"gradient": lambda self, name, p, g: w.flush(g)},
    ),
    ("gradient-absolute", "the gradient's magnitude used", {"gradient": lambda self, name, p, g: np.abs(g)}),
    (
        "nonfinite-skips-tensor",
        "a tensor with Inf in its gradient skipped",
        {
            "tamper": w.skip(lambda p: False),
            "update": lambda self, name, p, g, m: (
                (p, m) if np.isinf(g).any() else w.plain(self).update(self, name, p, g, m)
            ),
        },
    ),
    (
        "zero-gradient-lazy",
        "elements whose gradient is zero left alone",
        {
            "gradient": w.remember_gradient,
            "tamper": lambda self, name, old, new: w.skip(lambda p: self.memo["gradient"] == 0)(self, name, old, new),
        },
    ),
    (
        "param-clipped",
        "the parameter clipped to ±1",
        {"tamper": lambda self, name, old, new: (np.clip(new[0], -1, 1), new[1])},
    ),
    (
        "param-flushed",
        "subnormal parameters flushed, undeclared",
        {"tamper": lambda self, name, old, new: (w.flush(new[0]), new[1])},
    ),
    (
        "param-bfloat16",
        "the parameter passed through bfloat16",
        {"tamper": lambda self, name, old, new: (w.bfloat16(new[0]), new[1])},
    ),
    ("noise", "a different result each time", {"tamper": w.noisy}),
    (
        "arithmetic-float16",
        "float16 arithmetic, undeclared",
        {"compute": lambda self, dtype: np.dtype(np.float16)},
    ),
]


DOUBLE_ONLY: list[Row] = [
    (
        "hyper-float32",
        "hyperparameters of a float64 port held in float32",
        {
            "init": w.single_init,
            "configure": lambda self, hyper: NumpyPort.configure(self, w.as_single(hyper)),
        },
    ),
    (
        "arithmetic-float32",
        "float32 arithmetic for float64",
        {"compute": lambda self, dtype: np.dtype(np.float32)},
    ),
    (
        "momentum-float32",
        "momentum kept in float32 for float64, undeclared",
        {"tamper": w.momentum_as(lambda m: m.astype(np.float32))},
    ),
    (
        "param-float32",
        "float64 parameters passed through float32",
        {"tamper": lambda self, name, old, new: (new[0].astype(np.float32), new[1])},
    ),
]
