"""Tensors of every role, as Tiger's checks use them."""

from __future__ import annotations

TIGER = ("tiger",)

ROLES = ("matrix", "embedding", "bias", "scale")

ROLE_NAMES = ("w/kernel", "w/embeddings", "w/bias", "w/gamma")
"""A name of each role."""

SHAPES = {
    "dense/kernel": (4, 3),
    "token/embeddings": (5, 3),
    "dense/bias": (6,),
    "norm/beta": (4,),
    "norm/gamma": (4,),
    "conv/kernel": (2, 3, 2),
}

MIXED = {"a/kernel": (3, 4), "b/embeddings": (4, 3), "c/bias": (5,), "d/gamma": (5,), "e/kernel": (7,)}
