"""Tables of tensors by their storage dtypes, for compiled kernels that read memory by address."""

from __future__ import annotations

import platform
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import llvmlite.binding
import numpy as np

from signopt._facts import addresses_of
from signopt._identity import SameArrays
from signopt._namespace import compute_dtype_name, dtype_name
from signopt.backends._layout import dense_axes
from signopt.backends._numba_health import compile_on_nothing
from signopt.backends._numba_kernels import Family, Scalars
from signopt.backends._numba_rounding import Draws, Rests
from signopt.backends._storage import NEAREST, Storage
from signopt.backends._threads import on_threads
from signopt.rules.coefficients import Draw

__all__ = ["Floats", "TensorTable", "is_addressable", "is_compiled"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_LIKE = {
    "float64": np.float64(0),
    "float32": np.float32(0),
    "float16": np.int16(0),
    "bfloat16": np.uint16(0),
}


_PAIRS = {
    ("float64", "float64"),
    ("float64", "float32"),
    ("float32", "float32"),
    ("float32", "float16"),
    ("float32", "bfloat16"),
    ("float16", "float16"),
    ("float16", "float32"),
    ("bfloat16", "bfloat16"),
    ("bfloat16", "float32"),
}


def is_compiled(param_dtype: str, momentum_dtype: str) -> bool:
    """Whether there are kernels for a parameter and a momentum of these dtypes.

    Those for float16 need a processor that converts it: others would call a routine that Numba does not link.
    """
    if "float16" in (param_dtype, momentum_dtype) and not _converts_halves():
        return False
    return (param_dtype, momentum_dtype) in _PAIRS


@cache
def _converts_halves() -> bool:
    if platform.machine() in ("aarch64", "arm64"):
        return True
    return bool(llvmlite.binding.get_host_cpu_features().get("f16c", False))


def is_addressable(param: Floats, *others: Floats, upright: bool) -> bool:
    """Whether the elements lie end to end in memory, in one order for all, which must be C's if ``upright``."""
    axes = dense_axes(param, *others)
    if axes is None or not all(array.flags.aligned for array in (param, *others)):
        return False
    return not upright or axes == tuple(range(param.ndim))


class TensorTable:
    """Tensors with one pair of storage dtypes, dense in an order of axes of their own.

    Parameters
    ----------
    indices : sequence of int
        Their places among the parameters of the optimizer.
    params, momenta : sequence of ndarray
        All parameters and momenta of the optimizer. Weak references keep the memory of the arrays where it is: NumPy
        resizes no array that has one.
    """

    def __init__(
        self,
        indices: Sequence[int],
        params: Sequence[Floats],
        momenta: Sequence[Floats],
        storage: Storage = NEAREST,
    ) -> None:
        self.indices = indices
        self.params = [params[i] for i in indices]
        momenta = [momenta[i] for i in indices]
        self._pins = [weakref.ref(array) for array in (*self.params, *momenta)]
        self._axes = [dense_axes(param) or () for param in self.params]
        self._upright = [axes == tuple(range(param.ndim)) for axes, param in zip(self._axes, self.params, strict=True)]
        self.compute = np.dtype(compute_dtype_name(dtype_name(self.params[0])))
        self.sizes = np.array([param.size for param in self.params])
        self.elements = int(self.sizes.sum())
        self._addresses = np.zeros((len(self.params), 3), np.int64)
        self._addresses[:, 0], self._addresses[:, 1] = addresses_of(self.params), addresses_of(momenta)
        likes = _LIKE[dtype_name(self.params[0])], _LIKE[dtype_name(momenta[0])]
        self.family = Family(self._addresses, np.cumsum(self.sizes), *likes)
        self._known = SameArrays()
        self._compiled: set[Callable[..., None]] = set()
        self._rounding = storage.of(self.params[0])
        self._numbers = np.array([storage.number(i) for i in indices])
        self._rests = [storage.rest(i) for i in indices] if self._rounding == "split" else []
        self._rest_addresses = np.array(addresses_of(self._rests), np.int64)

    def point_to(self, grads: Sequence[Floats], *, unchanged: bool = False) -> list[Floats]:
        """Enter the addresses of the gradients, given for all parameters of the optimizer.

        Returns
        -------
        list of ndarray
            Copies made of gradients whose elements lie in another order than the parameter's, to be kept until the
            kernels are done.
        """
        if unchanged and self._known.anything:
            return []
        mine = [grads[i] for i in self.indices]
        if self._known.are(mine):
            return []
        self._known.forget()
        ordered = [
            grad if upright and grad.flags.c_contiguous else np.ascontiguousarray(grad.transpose(axes))
            for grad, upright, axes in zip(mine, self._upright, self._axes, strict=True)
        ]
        self._addresses[:, 2] = addresses_of(ordered)
        copies = [new for new, old in zip(ordered, mine, strict=True) if new is not old]
        if not copies:
            self._known.remember(mine)
        return copies

    def prepare(self, kernel: Callable[..., None], threads: int, total: int, *args: Any) -> Callable[[], None]:
        """A call of ``kernel(family, start, stop, *args)`` on as many threads, with equal shares of 0 to ``total``."""
        if kernel not in self._compiled:
            compile_on_nothing(kernel, self.family, 0, 0, *args)
            self._compiled.add(kernel)
        bounds = [total * thread // threads for thread in range(threads + 1)]
        return lambda: on_threads(
            lambda thread: kernel(self.family, bounds[thread], bounds[thread + 1], *args), threads
        )

    def policy(self, draw: Draw) -> Draws | Rests | None:
        """How the kernels store parameters in the step of ``draw``."""
        if self._rounding == "stochastic":
            key = np.uint32(draw.seed & 0xFFFFFFFF), np.uint32(draw.seed >> 32)
            return Draws(*key, np.uint32(draw.step & 0xFFFFFFFF), self._numbers)
        return Rests(self._rest_addresses) if self._rounding == "split" else None

    def scalars(self, **coefficients: float) -> Scalars:
        """Coefficients, rounded before, as scalars of the compute dtype; those not given are 0."""
        numbers = dict.fromkeys(Scalars._fields, 0.0) | coefficients | {"one": 1.0}
        return Scalars(**{name: self.compute.type(number) for name, number in numbers.items()})
