"""The laws of a step: every element under one has a rate."""

from __future__ import annotations

import numpy as np

from signopt.conformance.oracle.law import Law
from signopt.conformance.oracle.rules.tiger import TIGER

HYPER = {"lr": 0.1, "beta": 0.9, "weight_decay": 0.1, "accumulation_steps": 1, "shrink": 0.99, "schedule": None}


def test_tensors_whose_squares_overflow_have_a_rate_for_every_element() -> None:
    habits = TIGER.habits(compute="storage")
    shapes = {"embeddings/a": (3, 2), "matrix": (5,), "embeddings/b": (4, 3)}
    params = {name: np.full(shape, 300, np.float16) for name, shape in shapes.items()}
    grads = {name: np.ones(shape, np.float16) for name, shape in shapes.items()}
    laws = TIGER.laws(habits, HYPER | {"roles": None}, params, grads, step=0)
    assert sorted(name for _, names in laws for name in names) == sorted(shapes)
    for law, names in laws:
        assert isinstance(law, Law)
        assert not law.judged
        for index in range(sum(params[name].size for name in names)):
            assert law.rate_at(index)[0] > 0
