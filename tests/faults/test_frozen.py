"""Parameters that a step leaves as they are, by name."""

import copy

import numpy as np
import pytest

import signopt

SHAPES = {"a/kernel": (4, 3), "head/kernel": (300, 1000), "a/bias": (3,)}


def make(rule="Lion", backend="auto"):
    params = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    grads = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    return getattr(signopt, rule)(params, lr=0.25, weight_decay=0.5, backend=backend), grads


@pytest.mark.parametrize("backend", ["portable", "numpy", "auto"])
@pytest.mark.parametrize("rule", ["Lion", "Signum", "Tiger"])
def test_what_is_frozen_stays_and_the_rest_is_stepped_as_ever(rule, backend):
    (opt, grads), (twin, _) = make(rule, backend), make(rule, backend)
    for each in (opt, twin):
        each.step(grads)
    before = copy.deepcopy((opt.params["head/kernel"], opt.momentum["head/kernel"]))
    for _ in range(2):
        opt.step(grads | {"head/kernel": None}, frozen=["head/kernel"])
        twin.step(grads)
    assert opt.step_count == 3
    assert (opt.params["head/kernel"] == before[0]).all()
    assert (opt.momentum["head/kernel"] == before[1]).all()
    for name in ("a/kernel", "a/bias"):
        assert (opt.params[name] == twin.params[name]).all()
        assert (opt.momentum[name] == twin.momentum[name]).all()
    opt.step(grads)
    assert (opt.params["head/kernel"] != before[0]).all()


def test_a_frozen_gradient_may_be_left_out_or_be_none():
    opt, grads = make()
    del grads["a/bias"]
    opt.step(grads, frozen={"a/bias"})
    opt.step([*grads.values(), None], frozen={"a/bias"})
    opt.step({}, frozen=SHAPES)
    assert opt.step_count == 3
    assert (opt.params["a/bias"] == 1.0).all()


@pytest.mark.parametrize(
    ("grads", "frozen", "error", "words"),
    [
        ({}, ["b"], ValueError, "no such parameter: 'b'"),
        ({}, "a/bias", TypeError, r"did you mean \['a/bias'\]"),
        ({"a/kernel": np.ones((4, 3), np.float32)}, ["a/bias"], ValueError, "missing: 'head/kernel'"),
        ([None, None], ["a/bias"], ValueError, "2 arrays for 3"),
    ],
)
def test_bad_names_are_refused(grads, frozen, error, words):
    opt, _ = make()
    with pytest.raises(error, match=words):
        opt.step(grads, frozen=frozen)
    assert opt.step_count == 0


def test_the_error_for_none_says_what_to_do():
    opt, grads = make()
    with pytest.raises(TypeError, match=r"params\['a/bias'\] is None; step\(\.\.\., frozen=\[\.\.\.\]\)"):
        opt.step(grads | {"a/bias": None})
