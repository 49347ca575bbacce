"""Trainings in which every sum and product is exact, so that all right optimizers agree in every bit."""

import numpy as np

SHAPES = {"kernel": (4, 3), "bias": (3,), "scale": ()}
LION = {"lr": 0.25, "betas": (0.5, 0.75), "weight_decay": 0.5}


def params(dtype=np.float64):
    """Small dyadic numbers."""
    rng = np.random.default_rng(1)
    return {name: np.asarray(rng.integers(-8, 9, shape) / 4, dtype) for name, shape in SHAPES.items()}


def grads(step, dtype=np.float64):
    """Small integers, zeros among them."""
    rng = np.random.default_rng(100 + step)
    return {name: np.asarray(rng.integers(-3, 4, shape), dtype) for name, shape in SHAPES.items()}


def noise(step, dtype):
    """Gradients of any kind."""
    rng = np.random.default_rng(200 + step)
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}
