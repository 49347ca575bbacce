"""The arrays of an optimizer: parameters by name, and a momentum of zeros for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from signopt import _checks as checks
from signopt._namespace import Array, cast, dtype_name, namespace_of
from signopt._state import name_difference
from signopt.backends import adopt

__all__ = ["Arrays", "Params", "counted", "in_order", "named", "names_of_frozen", "zeros_for"]

Arrays: TypeAlias = Mapping[str, Array] | Sequence[Array]
"""Arrays by name, or in an order."""

Params: TypeAlias = Mapping[str, Array] | Iterable[Array] | Iterable[tuple[str, Array]]
"""What an optimizer can be made of. Iterators are used up."""


def named(params: Params) -> dict[str, Array]:
    """The parameters by name, as arrays that can be updated; the names "0", "1", ... if none are given."""
    by_name = _by_name(params)
    if not by_name:
        raise ValueError("params is empty: there is nothing to optimize (an iterator that was used up?)")
    for name in by_name:
        if not isinstance(name, str):
            raise TypeError(f"the names of parameters must be strings, got {name!r}")
    return {name: adopt(param, f"params[{name!r}]", written=True) for name, param in by_name.items()}


def _by_name(params: Any) -> dict[Any, Array]:
    if isinstance(params, Mapping) or hasattr(params, "keys"):
        return dict(params)
    if not isinstance(params, Iterable) or isinstance(params, (str, bytes, set)) or hasattr(params, "shape"):
        raise TypeError(
            "params must be a mapping {name: array}, or arrays or (name, array) pairs in an order, "
            f"got {type(params).__name__}"
        )
    items = list(params)
    if not any(map(_is_pair, items)):
        return {str(index): param for index, param in enumerate(items)}
    if not all(map(_is_pair, items)):
        raise TypeError("params mixes arrays and (name, array) pairs; give every array a name, or none")
    by_name = dict(items)
    if len(by_name) != len(items):
        twice = sorted({name for name, _ in items if sum(name == other for other, _ in items) > 1})
        raise ValueError(f"params names several arrays alike: {', '.join(map(repr, twice))}")
    return by_name


def _is_pair(item: Any) -> bool:
    return isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str)


def in_order(grads: Arrays, params: Collection[str]) -> list[Any]:
    """The gradients in the order of the parameters."""
    if not isinstance(grads, Mapping):
        if not isinstance(grads, (list, tuple)):
            raise TypeError(f"grads must be a mapping {{name: array}} or a sequence of arrays, got {type(grads)}")
        if len(grads) != len(params):
            raise ValueError(f"grads has {len(grads)} arrays for {len(params)} parameters")
        return list(grads)
    if type(grads) is dict and [*grads] == [*params]:
        return [*grads.values()]
    if grads.keys() != (params.keys() if isinstance(params, Mapping) else set(params)):
        raise ValueError(name_difference("grads", grads, params))
    return [grads[name] for name in params]


def names_of_frozen(frozen: Collection[str], names: Collection[str]) -> frozenset[str]:
    """``frozen`` as a set, of names that there are."""
    if isinstance(frozen, str):
        raise TypeError(f"frozen must be a collection of names, got the string {frozen!r}; did you mean [{frozen!r}]?")
    if unknown := set(frozen) - set(names):
        raise ValueError(f"frozen: no such parameter: {', '.join(sorted(map(repr, unknown)))}")
    return frozenset(frozen)


def zeros_for(param: Array, momentum_dtype: Any, name: str) -> Array:
    """A momentum for ``param``, in a dtype of its own unless that is None."""
    xp = namespace_of(param)
    zeros = xp.zeros_like(param)
    if momentum_dtype is None:
        return zeros
    wanted = getattr(xp, momentum_dtype, momentum_dtype) if isinstance(momentum_dtype, str) else momentum_dtype
    zeros = cast(xp, zeros, wanted)
    checks.check_dtype(zeros, f"the momentum of params[{name!r}]")
    checks.check_momentum_dtype(dtype_name(param), dtype_name(zeros), f"params[{name!r}]")
    return zeros


def counted(number: int, noun: str) -> str:
    """``1 tensor``, ``2,000 tensors``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
