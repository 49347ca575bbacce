"""What Tiger must know of a whole tensor: the mean of its squares, and whether its gradient has a NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from signopt._checks import as_array, check_dtype, check_partner
from signopt._namespace import (
    Array,
    Namespace,
    cast,
    device_of,
    dtype_name,
    fence,
    float64_or_widest,
    is_traced,
    namespace_of,
)
from signopt._traced import binary64
from signopt.roles import RoleTraits, traits_of

__all__ = ["by_row", "checked_facts", "has_nan", "squares_of", "tiger_facts"]


def tiger_facts(param: Array, grad: Array, role: str = "matrix") -> Array:
    """What a shard lacks of its tensor to take Tiger's step: three numbers, which add up over the shards.

    A local shard of a parameter (under ``shard_map``, in an MPI rank, out of ``DTensor.to_local()``) cannot see the RMS
    of the whole, nor a NaN in another shard's gradient. Sum these facts over all shards and hand the sum to
    :func:`signopt.tiger` or to ``signopt.Tiger.step``, and each shard moves as a part of the whole.

    Parameters
    ----------
    param, grad : array
        The shard and its gradient; they may be empty.
    role : {"matrix", "embedding", "bias", "scale"}
        As for :func:`signopt.tiger`.

    Returns
    -------
    array
        ``[Σp², number of elements, number of NaN in grad]`` in float64, 24 bytes on the wire. For role ``"embedding"``
        one such triple for each row, of shape ``param.shape[:-1] + (3,)``. JAX arrays give float64 also without
        ``jax_enable_x64``; a library that has no float64 (MLX) gives float32.

    Notes
    -----
    An embedding that is cut by rows has each row's RMS at hand and lacks only the NaN of other shards: sum the facts of
    role ``"matrix"``, one triple for the tensor, which the step of an embedding takes as well.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> param, grad, momentum = np.array([3.0, 4.0, 12.0]), np.ones(3), np.zeros(3)
    >>> signopt.tiger_facts(param[:2], grad[:2])
    array([25.,  2.,  0.])
    >>> total = signopt.tiger_facts(param[:2], grad[:2]) + signopt.tiger_facts(param[2:], grad[2:])
    >>> whole, _ = signopt.tiger(param, grad, momentum)
    >>> shard, _ = signopt.tiger(param[:2], grad[:2], momentum[:2], facts=total)
    >>> (shard == whole[:2]).all()
    np.True_
    """
    traits = traits_of(role)
    check_dtype(param, "param")
    check_partner(param, grad, "param", "gradient")
    xp, p, g = namespace_of(param), as_array(param), as_array(grad)
    rows = by_row(p, traits.rms)
    axes = -1 if rows else None
    with np.errstate(all="ignore"), binary64(p):
        wide = float64_or_widest(xp)
        squares = xp.sum(squares_of(xp, p), axis=axes)
        count = xp.full_like(squares, float(p.shape[-1] if rows else math.prod(p.shape)))
        return xp.stack([squares, count, _nan_count(xp, g, axes, wide)], axis=-1)


def _nan_count(xp: Namespace, g: Array, axes: int | None, wide: Any) -> Array:
    if isinstance(g, np.ndarray):  # several times faster than a sum
        return np.asarray(np.count_nonzero(g != g, axis=axes), wide)
    return xp.sum(cast(xp, g != g, wide), axis=axes)


def checked_facts(param: Array, facts: Array, traits: RoleTraits, name: str = "facts") -> Array:
    """``facts`` as an array of the library and device of ``param``.

    Raises
    ------
    TypeError, ValueError
        If they are not what :func:`tiger_facts` returns for ``param``.
    """
    xp, param = namespace_of(param), as_array(param)
    if not hasattr(facts, "dtype"):
        raise TypeError(f"{name} must be an array, as signopt.tiger_facts returns it, got {type(facts).__name__}")
    shapes = {(3,), (*param.shape[:-1], 3)} if by_row(param, traits.rms) else {(3,)}
    if tuple(facts.shape) not in shapes:
        wanted = " or ".join(map(str, sorted(shapes)))
        raise ValueError(f"{name} must have shape {wanted} for this parameter and role, got {tuple(facts.shape)}")
    with binary64(param):
        wide = float64_or_widest(xp)
        if dtype_name(facts) != (wanted := dtype_name(xp.empty(0, dtype=wide))):
            raise TypeError(f"{name} must keep the dtype of tiger_facts, {wanted}, got {facts.dtype}")
        if isinstance(facts, np.ndarray) and not isinstance(param, np.ndarray):
            facts = xp.asarray(facts, dtype=wide, device=device_of(param))
    if namespace_of(facts, name) is not xp:
        raise TypeError(f"{name} is a {type(facts).__name__} and param is a {type(param).__name__}; convert it")
    return facts


def has_nan(xp: Namespace, g: Array, facts: Array | None = None) -> Array:
    """Whether any element of ``g``, or of the tensor that ``facts`` describe, is NaN."""
    if facts is None and not is_traced(g):
        return xp.any(g != g)
    with binary64(g):
        if facts is not None:
            return xp.any(facts[..., 2] != 0)
        # A sum like that of the squares: XLA makes one all-reduce of the two.
        return xp.sum(cast(xp, g != g, float64_or_widest(xp))) > 0


def squares_of(xp: Namespace, p: Array) -> Array:
    """p² in float64; to be called within :func:`~signopt._traced.binary64`."""
    if isinstance(p, np.ndarray):  # without an array of the wide elements
        return np.square(p, dtype=np.float64)
    wide = cast(xp, p, float64_or_widest(xp))
    return fence(wide * wide)


def by_row(p: Array, over: str | None) -> bool:
    """Whether ``p`` has an RMS for each row: an embedding, but one that is a single number."""
    return over == "row" and p.ndim > 0
