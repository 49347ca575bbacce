"""What the torch optimizers keep beside the parameters: copies, files, dtypes, and the roundings of 16 bits."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import signopt  # noqa: E402
import signopt.torch  # noqa: E402
from signopt.conformance.adapters.torch import from_tensor  # noqa: E402
from tests.bits import assert_same_bits  # noqa: E402
from tests.engines.torch_cases import HYPER, KINDS, build, give_grads, matrices  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:all zero")


@pytest.mark.parametrize("kind", KINDS)
def test_copies_states_and_pickles_go_on_alike(kind):
    params = matrices()
    optimizer = build(kind, params)
    give_grads(params, 0)
    optimizer.step()
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    loaded = build(kind, copy.deepcopy(params))
    loaded.load_state_dict(torch.load(stream))
    optimizers = [optimizer, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), loaded]
    for each in optimizers:
        own = each.param_groups[0]["params"]
        give_grads(own, 1)
        each.step()
        for param, mine in zip(params, own, strict=True):
            assert torch.equal(param, mine)
    assert len({id(each.param_groups[0]["params"][0]) for each in optimizers}) == 4


def test_a_state_loaded_from_a_live_one_is_a_copy():
    first, second = (build("Signum", matrices(torch.bfloat16), rounding="split") for _ in range(2))
    second.load_state_dict(first.state_dict())
    give_grads(second.param_groups[0]["params"], 0)
    second.step()
    assert not any(tensor.any() for state in first.state.values() for tensor in state.values())


def test_a_float32_momentum_survives_beside_bfloat16():
    params = matrices(torch.bfloat16)
    optimizer = build("Lion", params, momentum_dtype=torch.float32)
    give_grads(params, 0)
    optimizer.step()
    kept = optimizer.state[params[0]]["momentum"].clone()
    other = build("Lion", matrices(torch.bfloat16), momentum_dtype=torch.float32)
    other.load_state_dict(optimizer.state_dict())
    loaded = other.state[other.param_groups[0]["params"][0]]["momentum"]
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded, kept)
    assert (kept != kept.bfloat16()).any()


def test_states_of_other_optimizers_are_refused():
    params = matrices()
    adam = torch.optim.AdamW(params)
    give_grads(params, 0)
    adam.step()
    optimizer = build("Lion", params)
    with pytest.raises(ValueError, match="no momentum, but 'step', 'exp_avg'"):
        optimizer.load_state_dict(adam.state_dict())
    state = optimizer.state_dict()
    state["state"][0] = {"momentum": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"shape \(1,\)"):
        optimizer.load_state_dict(state)
    state["state"][0] = {"momentum": torch.zeros(5, 4, dtype=torch.float64)}
    with pytest.raises(TypeError, match="momentum of parameter 0 of its group has dtype float64"):
        optimizer.load_state_dict(state)
    state["state"][0] = {"momentum": torch.zeros(5, 4), "rest": torch.zeros(5, 4)}
    with pytest.raises(TypeError, match="rest of parameter 0 of its group must be int16"):
        optimizer.load_state_dict(state)


def test_a_rounding_that_changes_takes_or_gives_up_the_low_halves():
    params = matrices(torch.bfloat16)
    optimizer = build("Lion", params, rounding="split")
    for rounding, slots in (
        ("nearest", {"momentum"}),
        ("split", {"momentum", "rest"}),
        ("stochastic", {"momentum", "step"}),
    ):
        optimizer.param_groups[0]["rounding"] = rounding
        give_grads(params, 0)
        optimizer.step()
        assert set(optimizer.state[params[0]]) == slots


@pytest.mark.parametrize("rounding", ["stochastic", "split"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.one_in(4)
def test_roundings_are_those_of_the_optimizers_on_arrays(kind, rounding):
    params = matrices(torch.bfloat16)
    optimizer = build(kind, params, rounding=rounding, seed=3)
    arrays = {str(place): from_tensor(param.detach().clone()) for place, param in enumerate(params)}
    options = {"beta" if name == "momentum" else name: value for name, value in KINDS[kind][1].items()}
    reference = getattr(signopt, kind)(arrays, **HYPER, **options, rounding=rounding, seed=3)
    for step in range(4):
        give_grads(params, step)
        optimizer.step()
        if step == 1:
            optimizer = resumed(kind, optimizer, params)
        reference.step({str(place): from_tensor(param.grad) for place, param in enumerate(params)})
    for place, param in enumerate(params):
        assert_same_bits(from_tensor(param), arrays[str(place)])
        if rounding == "split":
            assert_same_bits(optimizer.state[param]["rest"].numpy(), reference.rests[str(place)])


def resumed(kind, optimizer, params):
    """A new optimizer of other roundings, with the state of the old one through a file."""
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    fresh = build(kind, params)
    fresh.load_state_dict(torch.load(stream))
    return fresh


@pytest.mark.parametrize("rounding", ["stochastic", "split"])
def test_the_state_dicts_of_distributed_checkpoints_keep_every_slot(rounding):
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    def made():
        torch.manual_seed(0)
        model = torch.nn.Linear(6, 5, dtype=torch.bfloat16)
        return model, build("Lion", model.parameters(), rounding=rounding, momentum_dtype=torch.float32)

    (model, optimizer), (other_model, other) = made(), made()
    for step in range(2):
        give_grads(model.parameters(), step)
        optimizer.step()
    other_model.load_state_dict(model.state_dict())
    set_optimizer_state_dict(other_model, other, get_optimizer_state_dict(model, optimizer))
    for each in (model, other_model):
        give_grads(each.parameters(), 2)
    optimizer.step()
    other.step()
    for param, its in zip(model.parameters(), other_model.parameters(), strict=True):
        assert torch.equal(param, its)
        for slot, tensor in optimizer.state[param].items():
            assert tensor.dtype == other.state[its][slot].dtype
            assert torch.equal(tensor, other.state[its][slot])


def test_stochastic_rounding_counts_the_steps_of_each_parameter_and_depends_on_seed_and_place():
    def trained(seed, skip=0):
        params = [torch.nn.Parameter(torch.ones(64, 64, dtype=torch.bfloat16)) for _ in range(2)]
        optimizer = build("Lion", params, rounding="stochastic", seed=seed)
        for step in range(3):
            for place, param in enumerate(params):
                param.grad = torch.ones_like(param) if place or step >= skip else None
            optimizer.step()
        return params

    first, second = trained(seed=1)
    assert not torch.equal(first, second)
    assert torch.equal(first, trained(seed=1)[0])
    assert not torch.equal(first, trained(seed=2)[0])
    late, other = trained(seed=1, skip=1)
    assert torch.equal(other, second)
    assert not torch.equal(late, first)


@pytest.mark.filterwarnings("always:lr=.* is lost on about:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_that_rounding_undoes_is_warned_about(kind, recwarn):
    def warnings_of(dtype, **options):
        recwarn.clear()
        getattr(signopt.torch, kind)([torch.nn.Parameter(torch.ones(4, 4, dtype=dtype))], lr=1e-4, **options)
        return [str(warning.message) for warning in recwarn if "lost" in str(warning.message)]

    assert "all of 'parameter 0 of its group'" in warnings_of(torch.bfloat16)[0]
    assert not warnings_of(torch.float32)
    assert not warnings_of(torch.bfloat16, rounding="stochastic")
    assert not warnings_of(torch.bfloat16, rounding="split")


@pytest.mark.filterwarnings("ignore:lr=:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "split"])
def test_frozen_is_that_of_the_optimizers_on_arrays(kind, rounding):
    weights = {"still": torch.full((4, 4), 4.0), "moving": torch.full((4, 8), 2.0**-8), "wide": torch.ones(4, 2)}
    weights = {name: weight.to(torch.bfloat16) for name, weight in weights.items()}
    theirs = getattr(signopt.torch, kind)([torch.nn.Parameter(w) for w in weights.values()], lr=1e-4, rounding=rounding)
    ours = getattr(signopt, kind)(weights, lr=1e-4, rounding=rounding)
    assert theirs.frozen() == ours.frozen()
    assert (theirs.frozen() > 0.2) == (rounding == "nearest")
    theirs.param_groups[0]["lr"] = 1e-12
    assert theirs.frozen() == 1.0


@pytest.mark.parametrize(
    ("dtype", "options", "words"),
    [
        (torch.float16, {"rounding": "split"}, "parameter 0 of its group is float16"),
        (torch.bfloat16, {"rounding": "up"}, "rounding must be one of nearest, stochastic, split; got 'up'"),
        (torch.bfloat16, {"rounding": "stochastic", "seed": -1}, "seed must be zero or positive"),
    ],
)
def test_bad_roundings_are_refused_when_given_and_when_set(dtype, options, words):
    params = matrices(dtype, count=1)
    with pytest.raises((TypeError, ValueError), match=words):
        build("Lion", params, **options)
    optimizer = build("Lion", params)
    optimizer.param_groups[0].update(options)
    give_grads(params, 0)
    before = params[0].detach().clone()
    with pytest.raises((TypeError, ValueError), match=words):
        optimizer.step()
    assert torch.equal(params[0], before)
