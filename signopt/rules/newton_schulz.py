"""The matrix sign, U·Vᵀ of a singular value decomposition: by an odd polynomial, or by the decomposition itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from signopt import _hyperparameters as hyperparameters
from signopt._checks import as_array, check_dtype
from signopt._namespace import Array, Namespace, cast, compute_dtype_name, dtype_name, namespace_of
from signopt._traced import concrete
from signopt.rules._matrices import (
    as_matrices,
    from_matrices,
    matmul,
    nan_unless_finite,
    power_of_two,
    sum_of_squares,
    transpose,
)
from signopt.rules._svd import svd

__all__ = ["JORDAN", "PRESETS", "Triple", "direction", "msign", "newton_schulz", "ns_coefficients", "triples_for"]

Triple: TypeAlias = tuple[float, float, float]
"""(a, b, c) of the odd polynomial a·x + b·x³ + c·x⁵."""

JORDAN: Triple = (3.4445, -4.7750, 2.0315)

PRESETS: Mapping[str, Triple | tuple[Triple, ...]] = MappingProxyType(
    {
        # Jordan et al. 2024, https://kellerjordan.github.io/posts/muon: one polynomial for any number of steps.
        "jordan": JORDAN,
        # You 2024, as in https://github.com/KellerJordan/modded-nanogpt and optax, which calls it "dion".
        "quintic": (
            (4.0848, -6.8946, 2.9270),
            (3.9505, -6.3029, 2.6377),
            (3.7418, -5.5913, 2.3037),
            (2.8769, -3.1427, 1.2046),
            (2.8366, -3.0525, 1.2012),
        ),
        # Amsel et al. 2025, https://arxiv.org/abs/2505.16932, for five steps from σ = 10⁻³ on, with safety factor 1.02
        # and a cushion of 0.02.
        "polar-express": (
            (8.156554524902461, -22.48329292557795, 15.878769915207462),
            (4.042929935166739, -2.808917465908714, 0.5000178451051316),
            (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
            (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
            (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
        ),
    }
)
"""Coefficients by name: one triple for every step, or a triple for each. All stay bounded for σ up to 1.01, so that
rounding a matrix up to a spectral norm just above 1 is harmless."""

METHODS = ("newton-schulz", "svd")


def ns_coefficients(value: Any, name: str = "ns_coefficients") -> str | Triple | tuple[Triple, ...]:
    """The name of a preset, a triple (a, b, c), or a sequence of triples, one a step.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if isinstance(value, str):
        return hyperparameters.one_of(value, tuple(PRESETS), name)
    values = _as_list(value, name)
    if values and all(isinstance(item, (Sequence, np.ndarray)) for item in values):
        return tuple(_triple(item, f"{name}[{step}]") for step, item in enumerate(values))
    return _triple(values, name)


def _triple(value: Any, name: str) -> Triple:
    values = _as_list(value, name)
    if len(values) != 3:
        raise ValueError(f"{name} must have three numbers (a, b, c), got {value!r}")
    labelled = [(number, f"{name}[{place}]") for place, number in enumerate(values)]
    a, b, c = (float(concrete(hyperparameters.real(number, label), label)) for number, label in labelled)
    return a, b, c


def _as_list(value: Any, name: str) -> list[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(
            f"{name} must be one of {', '.join(map(repr, PRESETS))}, a triple (a, b, c), or a list of triples, "
            f"got {value!r}"
        )
    return list(value)


def triples_for(coefficients: Any, steps: Any) -> tuple[Triple, ...]:
    """The triple of each of ``steps`` steps.

    Raises
    ------
    TypeError, ValueError
        For values that are neither, or for fewer triples than steps.
    """
    steps = hyperparameters.ns_steps(steps)
    given = ns_coefficients(coefficients)
    chosen: Any = PRESETS[given] if isinstance(given, str) else given
    triples: tuple[Triple, ...] = (chosen,) * steps if isinstance(chosen[0], float) else chosen[:steps]
    if len(triples) < steps:
        named = f"the preset {given!r}" if isinstance(given, str) else "ns_coefficients"
        raise ValueError(f"{named} has coefficients for {len(triples)} steps, but ns_steps is {steps}")
    return triples


def msign(
    matrix: Array,
    *,
    ns_coefficients: Any = JORDAN,
    ns_steps: int = 5,
    eps: float = 1e-7,
    method: str = "newton-schulz",
    batch_axis: int | None = None,
) -> Array:
    r"""The sign of a matrix: U·Vᵀ of its reduced singular value decomposition U·Σ·Vᵀ, exactly or nearly.

    For a diagonal matrix it is the sign of the diagonal. ``"newton-schulz"`` needs matrix products only::

        X = M/(‖M‖_F + ε)
        X ← a·X + (b·A + c·A²)·X,  A = X·Xᵀ        ns_steps times

    and gives U·F(Σ/(‖M‖_F + ε))·Vᵀ, F being the composition of a·x + b·x³ + c·x⁵: near 1, and not 1. With the default
    coefficients F lies in [0.68, 1.21] from 0.003 to 1. ``"svd"`` gives 1 for every singular value that stands out
    from rounding, and 0 for the others.

    Parameters
    ----------
    matrix : array
        Of two axes or more, of any namespace; float64, float32, float16 or bfloat16. With more than two it is the
        matrix (shape[0], product of the rest), in C order.
    ns_coefficients : triple, list of triples, or {"jordan", "quintic", "polar-express"}
        (a, b, c) for all steps, or one triple a step, of which the first ``ns_steps`` are used.
    ns_steps : int, default 5
    eps : float, default 1e-7
        ε, zero or positive. 0 makes the result independent of the scale of ``matrix``.
    method : {"newton-schulz", "svd"}
        ``"svd"`` uses none of the above.
    batch_axis : int, optional
        The axis along which ``matrix`` stacks matrices. A stack is never guessed from the number of axes.

    Returns
    -------
    array
        With the shape and dtype of ``matrix``.

    Raises
    ------
    TypeError
        For integer or complex arrays, or coefficients that are no numbers.
    ValueError
        For fewer than two axes, fewer triples than steps, or an unknown preset or method.

    Notes
    -----
    Computed in float64 for float64 and in float32 for all else. If squares would overflow or underflow, the matrix
    is first scaled by a power of two, which rounds nothing. A zero matrix gives zeros, also with ε = 0; one NaN or Inf
    makes all of the matrix NaN. The order of the sums in a matrix product belongs to the library.

    References
    ----------
    Jordan et al., *Muon*, 2024, https://kellerjordan.github.io/posts/muon

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> signopt.msign(np.diag([3.0, -0.5]), method="svd").round(12) + 0.0
    array([[ 1.,  0.],
           [ 0., -1.]])
    >>> signopt.msign(np.diag([3.0, -0.5]))[0, 0].round(4)
    np.float64(0.7136)
    """
    method = hyperparameters.one_of(method, METHODS, "method")
    triples, eps = triples_for(ns_coefficients, ns_steps), hyperparameters.eps(eps)

    def sign_of(xp: Namespace, matrices: Array, compute: str) -> Array:
        if method == "svd":
            u, _, v = svd(xp, matrices)
            return nan_unless_finite(xp, matmul(xp, u, v), matrices)
        return newton_schulz(xp, direction(xp, matrices, eps, compute), triples)

    return on_matrices(sign_of, matrix, batch_axis)


def on_matrices(function: Any, matrix: Array, batch_axis: int | None) -> Array:
    """``function(xp, matrices, compute)`` in the compute dtype, rounded once to the dtype of ``matrix``."""
    check_dtype(matrix, "matrix")
    xp, array = namespace_of(matrix), as_array(matrix)
    compute = compute_dtype_name(dtype_name(array))
    matrices = as_matrices(xp, cast(xp, array, getattr(xp, compute)), batch_axis, "matrix")
    with np.errstate(all="ignore"):
        result = function(xp, matrices, compute) if _has_elements(array) else matrices
        return cast(xp, from_matrices(xp, result, tuple(array.shape), batch_axis), array.dtype)


def _has_elements(array: Array) -> bool:
    return 0 not in tuple(array.shape)


def direction(xp: Namespace, matrices: Array, eps: float, compute: str) -> Array:
    """M/(‖M‖_F + ε) of each matrix; zero for a zero matrix, and NaN throughout if an element is not finite."""
    scale = power_of_two(xp, matrices, compute, least=eps)
    scaled = matrices * scale
    norm = cast(xp, xp.sqrt(sum_of_squares(xp, scaled)), matrices.dtype) + eps * scale
    divisor = xp.where(norm == 0, xp.ones_like(norm), norm)
    # The iteration would spread a NaN as well, but for a BLAS that skips products with zero.
    return nan_unless_finite(xp, scaled / divisor, norm)


def newton_schulz(xp: Namespace, x: Array, triples: Sequence[Triple]) -> Array:
    """One step of the iteration for each triple, on the side on which A = X·Xᵀ is small."""
    is_tall = x.shape[-2] > x.shape[-1]
    x = transpose(xp, x) if is_tall else x
    for a, b, c in triples:
        gram = matmul(xp, x, transpose(xp, x))
        x = a * x + matmul(xp, b * gram + c * matmul(xp, gram, gram), x)
    return transpose(xp, x) if is_tall else x
