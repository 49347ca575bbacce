"""Storing float32 results in 16 bits without bias: stochastic rounding that can be repeated, and split masters.

Rounding to nearest loses every step smaller than half the spacing of the format: a bfloat16 parameter above 1/32 never
moves by 1e-4. Stochastic rounding moves it by a whole spacing, with the probability that makes the mean right. The
random word of an element is a function of (seed, step, tensor, place in the whole tensor), so it needs no state, and
threads, shards, replicas, libraries and devices agree to the last bit.
"""

from signopt.rounding._philox import philox4x32, philox_words
from signopt.rounding._split import join, split
from signopt.rounding._stochastic import round_bfloat16, round_float16, stochastic_bfloat16, stochastic_float16

__all__ = [
    "join",
    "philox4x32",
    "philox_words",
    "round_bfloat16",
    "round_float16",
    "split",
    "stochastic_bfloat16",
    "stochastic_float16",
]
