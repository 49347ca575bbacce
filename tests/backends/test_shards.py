"""Shards that know the facts of their tensors: every CPU backend leaves the bits of the rule."""

import numpy as np
import pytest

import signopt
from signopt.backends import select
from signopt.backends.portable import PortableBackend
from tests.backends.cases import ROLES, STEPS, STORAGE, costly, random_tensor
from tests.bits import assert_same_bits, bits

SHAPES = ((40, 300), (7, 5), (3,), (), (0, 4), (2, 70_000))
"""Some gathered, some in blocks, some cut within a row; one that no thread looks at on its own."""


def tensors(storage):
    return [random_tensor(shape, storage, seed) for seed, shape in enumerate(SHAPES)]


def facts_of(triples, role, broken):
    """Facts of tensors that are larger than these shards; the last shard is a tensor of its own."""
    all_facts = [3 * signopt.tiger_facts(p, g, role) for p, g, _ in triples[:-1]]
    for facts in all_facts:
        facts[..., 2] = broken
    return [*all_facts, None]


def stepped(backend, storage, role, facts, coefficients):
    triples = tensors(storage)
    params, grads, momenta = (list(column) for column in zip(*triples, strict=True))
    bound = backend(params, momenta, [role] * len(params))
    bound.prepare(grads, coefficients, facts=facts)()
    return params + momenta


@pytest.mark.parametrize("broken", [0.0, 2.0], ids=["healthy", "broken"])
@pytest.mark.parametrize("step", ["tiger-within", "tiger-moves"])
@pytest.mark.parametrize("role", [*ROLES, "embedding by rows"])
@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.one_in(4)
def test_the_bits_are_the_rules(name, role, step, broken):
    facts_role = "matrix" if role == "embedding by rows" else role
    role = role.removesuffix(" by rows")
    backend = select(name, [np.ones(1)])
    for storage in [each for each in STORAGE if not costly(each, step, name)] if step == "tiger-moves" else ["f32"]:
        facts = facts_of(tensors(storage), facts_role, broken)
        if facts_role != role:  # a vector is a row of its own, of which a triple tells all
            facts[2] = None
        results, expected = (stepped(each, storage, role, facts, STEPS[step][1]) for each in (backend, PortableBackend))
        for result, wanted in zip(results, expected, strict=True):
            assert_same_bits(result, wanted)


@pytest.mark.parametrize("name", ["portable", "numpy", "numba"])
def test_facts_make_a_difference(name):
    backend, coefficients = select(name, [np.ones(1)]), STEPS["tiger-moves"][1]
    facts = facts_of(tensors("f32"), "matrix", 0.0)
    for its in facts[:-1]:
        its[0] *= 4
    (with_facts, without) = (stepped(backend, "f32", "matrix", given, coefficients) for given in (facts, None))
    differ = [bool((bits(a) != bits(b)).any()) for a, b in zip(with_facts, without, strict=True)]
    assert differ[:6] == [True, True, True, True, False, False]
