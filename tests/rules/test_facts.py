"""Shards that know the facts of their tensor move as parts of it."""

import numpy as np
import pytest

import signopt
from tests.bits import DTYPES, assert_same_bits, random_triple

ROLES = ("matrix", "embedding", "bias", "scale")


def shards(array, count, axis=-1):
    """Cut into ``count`` pieces of unequal length, some of them empty when there are more pieces than elements."""
    return np.array_split(array, count, axis=axis)


def by_shard(arrays, count, role, axis=-1, facts_role=None):
    pieces = list(zip(*(shards(array, count, axis) for array in arrays), strict=True))
    facts = sum(signopt.tiger_facts(p, g, facts_role or role) for p, g, _ in pieces)
    results = [signopt.tiger(p, g, m, role=role, facts=facts) for p, g, m in pieces]
    return [np.concatenate(parts, axis=axis) for parts in zip(*results, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_two_hundred_tensors_and_any_number_of_shards(count):
    for seed in range(200):
        p, g, m = random_triple((1 + 37 * seed % 4999,), np.float32, seed)
        if seed % 5 == 0:
            g[seed % g.size] = np.nan
        for result, wanted in zip(by_shard((p, g, m), count, "matrix"), signopt.tiger(p, g, m), strict=True):
            assert_same_bits(result, wanted)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_role_dtype_and_cut(dtype, role, axis, broken):
    p, g, m = random_triple((7, 5), dtype, seed=3)
    g[6, 4] = np.nan if broken else 0
    facts_role = "matrix" if role == "embedding" and axis == 0 else role
    results = by_shard((p, g, m), 9, role, axis, facts_role)
    for result, wanted in zip(results, signopt.tiger(p, g, m, role=role), strict=True):
        if dtype is np.float64 and role in {"matrix", "embedding"}:
            assert np.abs(result.view(np.int64) - wanted.view(np.int64)).max() <= 1
        else:
            assert_same_bits(result, wanted)


def test_without_facts_a_shard_is_a_tensor_of_its_own():
    p, g, m = random_triple((64,), np.float32)
    alone, _ = signopt.tiger(p[:10], g[:10], m[:10])
    assert (alone != signopt.tiger(p, g, m)[0][:10]).any()


def test_facts_of_an_embedding_are_one_triple_a_row():
    p = np.array([[3.0, 4.0], [0.0, 2.0]])
    g = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    assert signopt.tiger_facts(p, g, "embedding").tolist() == [[25.0, 2.0, 1.0], [4.0, 2.0, 2.0]]
    assert signopt.tiger_facts(p, g).tolist() == [29.0, 4.0, 3.0]
    assert signopt.tiger_facts(p[:, :0], g[:, :0], "embedding").tolist() == [[0.0, 0.0, 0.0]] * 2
    assert signopt.tiger_facts(3.0, np.nan).tolist() == [9.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("facts", "error", "words"),
    [
        (np.zeros(2), ValueError, r"shape \(3,\) .* got \(2,\)"),
        (np.zeros((4, 3)), ValueError, r"shape \(3,\)"),
        (np.zeros(3, np.float32), TypeError, "float64, got float32"),
        ([1.0, 2.0, 3.0], TypeError, r"signopt\.tiger_facts"),
        (1.0, TypeError, r"signopt\.tiger_facts"),
    ],
)
def test_facts_of_another_kind_are_refused(facts, error, words):
    with pytest.raises(error, match=words):
        signopt.tiger(*random_triple((4, 2), np.float32), facts=facts)


def test_facts_of_another_library_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"convert|belongs"):
        signopt.tiger(*random_triple((4,), np.float32), facts=torch.zeros(3, dtype=torch.float64))
    arrays = [torch.from_numpy(array) for array in random_triple((4,), np.float32)]
    facts = signopt.tiger_facts(*random_triple((4,), np.float32)[:2])
    assert torch.equal(signopt.tiger(*arrays, facts=facts)[0], signopt.tiger(*arrays)[0])


@pytest.mark.parametrize("backend", ["auto", "portable", "numpy"])
def test_optimizers_of_shards(backend):
    names = ("dense/kernel", "embeddings", "bias", "whole")
    arrays = {name: random_triple((6, 10), np.float32, seed) for seed, name in enumerate(names)}
    whole = {name: p.copy() for name, (p, _, _) in arrays.items()}
    optimizer = signopt.Tiger(whole, lr=0.01, accumulation_steps=2, backend=backend)
    cut = {name: slice(None) if name == "whole" else slice(0, 4) for name in names}
    rest = {name: slice(4, None) for name in names if name != "whole"}
    ranks = [{name: arrays[name][0][:, its].copy() for name, its in piece.items()} for piece in (cut, rest)]
    optimizers = [signopt.Tiger(params, lr=0.01, accumulation_steps=2, backend=backend) for params in ranks]
    for step in range(4):
        grads = {name: arrays[name][1] * np.float32(1 + step) for name in names}
        if step == 2:
            grads["bias"][5, 9] = np.nan
        mine = [{name: grads[name][:, its] for name, its in piece.items()} for piece in (cut, rest)]
        facts = {
            name: sum(
                signopt.tiger_facts(r[name], g[name], optimizer.roles[name]) for r, g in zip(ranks, mine, strict=True)
            )
            for name in rest
        }
        for each, its in zip(optimizers, mine, strict=True):
            each.step(its, facts=facts)
        optimizer.step(grads)
    for name in rest:
        assert_same_bits(np.concatenate([params[name] for params in ranks], axis=1), whole[name])
    assert_same_bits(ranks[0]["whole"], whole["whole"])
    assert [each.step_count for each in optimizers] == [4, 4]


def test_bad_facts_of_an_optimizer_change_nothing():
    param = np.ones((4, 2))
    optimizer = signopt.Tiger({"w": param})
    for facts, error, words in [
        ({"v": np.zeros(3)}, ValueError, "no such parameter: 'v'"),
        ({"w": np.zeros(2)}, ValueError, r"facts\['w'\] must have shape"),
        (np.zeros(3), TypeError, "mapping"),
    ]:
        with pytest.raises(error, match=words):
            optimizer.step({"w": np.ones((4, 2))}, facts=facts)
    assert (param == 1).all()
    assert optimizer.step_count == 0
