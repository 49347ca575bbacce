"""Tiger: tight-fisted optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt._namespace import Array, Namespace, cast, divide, fence, sign, unfolded
from signopt._traced import binary64, choose, is_multiple
from signopt.roles import RoleTraits, traits_of
from signopt.rules._compute import in_compute_dtype
from signopt.rules.coefficients import Coefficients
from signopt.rules.facts import by_row, checked_facts, has_nan, squares_of
from signopt.schedules import factor_at

__all__ = ["TigerCoefficients", "apply_tiger", "root_mean_square", "tiger"]


@dataclass(frozen=True)
class TigerCoefficients(Coefficients):
    """m ← b1·m + b2·g at one micro-step, and whether this micro-step ends its window, so that the parameter moves.

    ``lr`` is the learning rate times the schedule's factor at this micro-step.
    """

    rule = "tiger"

    lr: float
    b1: float
    b2: float
    weight_decay: float
    shrink: float
    moves: bool

    @classmethod
    def of(
        cls,
        *,
        step: int,
        lr: float,
        beta: float,
        weight_decay: float,
        accumulation_steps: int,
        shrink: float,
        schedule: Schedule,
    ) -> Self:
        """Check the hyperparameters and form the coefficients of micro-step ``step``."""
        step = hyperparameters.micro_step(step)
        beta = hyperparameters.one_beta(beta)
        window = hyperparameters.accumulation_steps(accumulation_steps)
        factor = factor_at(hyperparameters.schedule(schedule), step)
        return cls(
            lr=hyperparameters.learning_rate(
                hyperparameters.learning_rate(lr) * factor, "lr times the schedule's factor"
            ),
            b1=choose(is_multiple(step, window), beta, 1.0),
            b2=(1.0 - beta) / window,
            weight_decay=hyperparameters.weight_decay(weight_decay),
            shrink=hyperparameters.shrink(shrink),
            moves=is_multiple(step + 1, window),
        )


def tiger(
    param: Array,
    grad: Array,
    momentum: Array,
    *,
    step: int = 0,
    lr: float = 1e-3,
    beta: float = 0.965,
    weight_decay: float = 0.01,
    role: str = "matrix",
    accumulation_steps: int = 1,
    shrink: float = 0.99,
    schedule: Schedule = None,
    facts: Array | None = None,
) -> tuple[Array, Array]:
    r"""One Tiger micro-step of one array. With k = ``accumulation_steps`` and t = ``step``::

        m ← b1·m + b2·g                  b1 = β if t mod k = 0 else 1,  b2 = (1 − β)/k
        p ← p − r·(sign(m) + λ·p)        only where (t + 1) mod k = 0, else p stays

        r = lr_t·RMS(p)                  role "matrix": over the tensor; "embedding": over the last axis
        r = 0.5·lr_t, λ = 0              role "bias" or "scale"
        lr_t = lr·schedule(t)            RMS(p) = sqrt(mean(p²)), of p before the step

    and in place of both where any element of ``grad`` is NaN::

        m stays;  p ← (p − c)·s + c      c = 1 for role "scale", else 0;  s = shrink

    The window of k micro-steps needs no buffer: it equals one step on the mean gradient. The NaN rule looks at the
    whole array, fires at every micro-step, also where p would stay, and ignores the rate; Inf does not fire it.

    Parameters
    ----------
    param, grad, momentum : array
        As for :func:`signopt.lion`.
    step : int or 0-d array, default 0
        t, the 0-based micro-step. It may be traced: the counter of a ``jax.lax.scan``, say.
    lr : float or 0-d array, default 1e-3
        Learning rate; the author advises 1e-3 to 2e-3. Arrays are taken as for :func:`signopt.lion`.
    beta : float, default 0.965
        β in [0, 1); 0.965 for text, 0.945 for vision.
    weight_decay : float or 0-d array, default 0.01
        λ, decoupled and multiplied by the rate r.
    role : {"matrix", "embedding", "bias", "scale"}
        What the parameter is; see :mod:`signopt.roles`.
    accumulation_steps : int, default 1
        k, the number of micro-steps in a window.
    shrink : float, default 0.99
        s in [0, 1].
    schedule : mapping or callable, optional
        {micro-step: factor}, piecewise linear, from 0 where its first key is not 0 (see
        :func:`signopt.schedules.piecewise_linear`); or a function of the micro-step. With a warm-up from 0 and k = 1
        the first step moves m and not p.
    facts : array, optional
        Where ``param`` is a shard: the sum of :func:`signopt.tiger_facts` over all shards of the tensor. Without it, a
        shard is taken for a whole tensor, with an RMS and a NaN rule of its own. No error can be raised for that.

    Returns
    -------
    param, momentum : array
        New arrays with the dtypes of the old ones; the inputs are left as they were.

    Raises
    ------
    TypeError, ValueError
        As for :func:`signopt.lion`; ValueError also for an unknown role or a window shorter than 1.

    Notes
    -----
    There is no ε: an all-zero matrix, or row of an embedding, has RMS 0 and never moves. Squares are summed in float64
    (JAX too, also without ``jax_enable_x64``; MLX has float32 only) and the root is rounded once to the compute dtype.
    Rounding is otherwise that of :func:`signopt.lion`.

    References
    ----------
    Su, *Tiger: A Tight-fisted Optimizer*, 2023, https://kexue.fm/archives/9512, and https://github.com/bojone/tiger;
    accumulation without a buffer: https://kexue.fm/archives/8634

    Examples
    --------
    A matrix with RMS 2 moves by twice the learning rate, a bias by half of it:

    >>> import numpy as np
    >>> import signopt
    >>> param, grad, momentum = np.full((2, 2), 2.0), np.ones((2, 2)), np.zeros((2, 2))
    >>> signopt.tiger(param, grad, momentum, lr=0.25, weight_decay=0.0)[0]
    array([[1.5, 1.5],
           [1.5, 1.5]])
    >>> signopt.tiger(param, grad, momentum, lr=0.25, weight_decay=0.0, role="bias")[0]
    array([[1.875, 1.875],
           [1.875, 1.875]])
    """
    coefficients = TigerCoefficients.of(
        step=step,
        lr=lr,
        beta=beta,
        weight_decay=weight_decay,
        accumulation_steps=accumulation_steps,
        shrink=shrink,
        schedule=schedule,
    )
    return apply_tiger(param, grad, momentum, coefficients, traits_of(role), facts)


def apply_tiger(
    param: Array,
    grad: Array,
    momentum: Array,
    coefficients: TigerCoefficients,
    traits: RoleTraits,
    facts: Array | None = None,
) -> tuple[Array, Array]:
    """:func:`tiger` with its coefficients already formed."""
    known = None if facts is None else checked_facts(param, facts, traits)

    def update(xp: Namespace, p: Array, g: Array, m: Array, compute: str) -> tuple[Array, Array]:
        k = coefficients.rounded(compute, xp)
        broken = has_nan(xp, g, known)
        new_m = fence(k.b1 * m) + fence(k.b2 * g)
        healthy_p = _where_it_moves(xp, k.moves, p, lambda: _moved(xp, p, new_m, k, traits, known))
        shrunk_p = fence((p - traits.centre) * k.shrink) + unfolded(traits.centre, p)
        return xp.where(broken, shrunk_p, healthy_p), xp.where(broken, m, new_m)

    return in_compute_dtype(update, param, grad, momentum)


def _where_it_moves(xp: Namespace, moves: Any, p: Array, moved: Callable[[], Array]) -> Array:
    """``moved()`` if this micro-step moves parameters, which may be known only when a compiled program runs."""
    if isinstance(moves, bool):
        return moved() if moves else p
    return xp.where(moves, moved(), p)


def _moved(xp: Namespace, p: Array, m: Array, k: TigerCoefficients, traits: RoleTraits, facts: Array | None) -> Array:
    weight_decay = k.weight_decay if traits.decays else 0.0
    rate = 0.5 * k.lr if traits.rms is None else fence(k.lr * root_mean_square(xp, p, traits.rms, facts))
    return p - fence(rate * (sign(xp, m) + fence(weight_decay * p)))


def root_mean_square(xp: Namespace, p: Array, over: str, facts: Array | None = None) -> Array:
    """sqrt(mean(p²)), summed in float64 and rounded once to the dtype of ``p``.

    ``over`` is ``"tensor"``, which gives a 0-d array, or ``"row"``: the last axis, kept with length 1. With ``facts``
    it is that of the whole tensor, or of whole rows, of which ``p`` is a shard.
    """
    rows = by_row(p, over)
    rows_are_whole = rows and facts is not None and facts.ndim < p.ndim
    with binary64(p):
        if facts is not None and not rows_are_whole:
            total, count = facts[..., 0], facts[..., 1]
            mean = total / xp.where(count > 1, count, xp.ones_like(count))
            return cast(xp, xp.sqrt(mean[..., None] if rows else mean), p.dtype)
        squares = squares_of(xp, p)
        count = p.shape[-1] if rows else math.prod(p.shape)
        total = xp.sum(squares, axis=-1, keepdims=True) if rows else xp.sum(squares)
        return cast(xp, xp.sqrt(divide(total, max(count, 1))), p.dtype)
