"""Muon and its parts in exact and in 1400-bit fixed-point arithmetic, derived from the formulas alone."""

from fractions import Fraction
from math import isqrt, prod

import numpy as np

BITS = 1400
ONE = 1 << BITS
JORDAN = (3.4445, -4.7750, 2.0315)


def fractions(array):
    flat = [Fraction(float(value)) for value in np.asarray(array, dtype=np.float64).ravel()]
    return np.array(flat, dtype=object).reshape(np.shape(array))


def root(value):
    """The square root of a fraction, to BITS bits of its own."""
    shift = 2 * BITS + 2 * max(0, value.denominator.bit_length() - value.numerator.bit_length())
    return Fraction(isqrt((value.numerator << shift) // value.denominator), 1 << (shift // 2))


def fixed(array):
    return np.array([(v.numerator << BITS) // v.denominator for v in array.ravel()], dtype=object).reshape(array.shape)


def floats(array):
    """Fixed point as float64, rounded once."""
    values = [float(Fraction(int(value), ONE)) for value in array.ravel()]
    return np.array(values, dtype=np.float64).reshape(array.shape)


def matrix_sign(matrix, triples=(JORDAN,) * 5, eps=1e-7):
    """The Newton-Schulz iterate of a 2-D array of fractions, as float64."""
    norm = root(sum((value * value for value in matrix.ravel()), Fraction(0))) + Fraction(float(eps))
    x = fixed(matrix / norm if norm else matrix)
    for triple in triples:
        a, b, c = (fixed(np.array([Fraction(float(number))], dtype=object))[0] for number in triple)
        gram = (x @ x.T) >> BITS
        x = (a * x + ((b * gram + c * ((gram @ gram) >> BITS)) >> BITS) @ x) >> BITS
    return floats(x)


def muon(
    param,
    grad,
    momentum,
    *,
    lr,
    beta=0.95,
    weight_decay=0.1,
    nesterov=True,
    triples=(JORDAN,) * 5,
    eps=1e-7,
    adjust_lr_fn="original",
):
    """(the new parameter, X, the new momentum) in float64, everything up to X as exactly as it goes."""
    beta_exact = Fraction(beta)
    g, m = fractions(grad), fractions(momentum)
    m = beta_exact * m + (1 - beta_exact) * g
    u = beta_exact * m + (1 - beta_exact) * g if nesterov else m
    rows, cols = len(u), prod(u.shape[1:])
    x = matrix_sign(u.reshape(rows, cols), triples, eps).reshape(u.shape)
    scale = max(1, rows / cols) ** 0.5 if adjust_lr_fn == "original" else 0.2 * max(rows, cols) ** 0.5
    p = np.asarray(param, dtype=np.float64)
    return p - lr * (scale * x + weight_decay * p), x, np.array([float(v) for v in m.ravel()]).reshape(m.shape)


def spectral_decay(matrix, rounds=10):
    """D = W·x·xᵀ/(xᵀx), x = (WᵀW)^rounds·1, rational throughout."""
    w = fractions(matrix)
    x = np.array([[Fraction(1)]] * w.shape[1], dtype=object)
    for _ in range(rounds):
        x = w.T @ (w @ x)
        largest = max(map(abs, x.ravel()))
        x = x / largest if largest else x
    square = (x.T @ x)[0, 0]
    part = (w @ x) @ x.T / square if square else 0 * w
    return np.array([float(value) for value in part.ravel()]).reshape(w.shape)
