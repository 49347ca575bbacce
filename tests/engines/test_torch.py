"""The torch optimizers do what torch's users expect of an optimizer, with the bits of the rule."""

import copy
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import signopt  # noqa: E402
import signopt.torch  # noqa: E402
from signopt.conformance import check  # noqa: E402
from signopt.conformance.adapters.own_torch import OWN_TORCH  # noqa: E402
from signopt.conformance.adapters.torch import from_tensor  # noqa: E402
from tests.bits import assert_same_bits  # noqa: E402

HYPER = {"lr": 1e-2, "weight_decay": 0.1}
KINDS = {
    "Lion": (signopt.lion, {"betas": (0.9, 0.98)}),
    "Signum": (signopt.signum, {"beta": 0.8}),
    "Tiger": (signopt.tiger, {"beta": 0.9, "accumulation_steps": 2, "schedule": {3: 1.0}}),
    "Muon": (signopt.muon, {"momentum": 0.9}),
}
pytestmark = pytest.mark.filterwarnings("ignore:all zero")


def build(kind, params, **options):
    return getattr(signopt.torch, kind)(params, **HYPER, **KINDS[kind][1], **options)


def rule_step(kind, param, grad, momentum, step):
    """One step of the pure rule on NumPy arrays; for Muon, whose products are BLAS's, of the optimizer on them."""
    rule, options = KINDS[kind]
    arrays = [from_tensor(tensor.detach().clone()) for tensor in (param, grad, momentum)]
    if kind == "Muon":
        optimizer = signopt.Muon({"w": arrays[0]}, **HYPER, beta=options["momentum"])
        optimizer.momentum["w"][...] = arrays[2]
        optimizer.step({"w": arrays[1]})
        return arrays[0], optimizer.momentum["w"]
    return rule(*arrays, **HYPER, **options, **({"step": step} if kind == "Tiger" else {}))


def matrices(dtype=torch.float32, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(5, 4 + i, generator=generator).to(dtype)) for i in range(count)]


def give_grads(params, seed):
    generator = torch.Generator().manual_seed(seed)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_the_rules(kind, dtype):
    params = matrices(dtype)
    optimizer = build(kind, params)
    momenta = [torch.zeros_like(param) for param in params]
    for step in range(4):
        give_grads(params, step)
        expected = [rule_step(kind, p, p.grad, m, step) for p, m in zip(params, momenta, strict=True)]
        optimizer.step()
        for param, (new_param, new_momentum) in zip(params, expected, strict=True):
            assert_same_bits(from_tensor(param), new_param)
            assert_same_bits(from_tensor(optimizer.state[param]["momentum"]), new_momentum)
        momenta = [optimizer.state[param]["momentum"].clone() for param in params]


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
    first, second = (build("Tiger", matrices(torch.bfloat16), rounding="split") for _ in range(2))
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


@pytest.mark.parametrize("kind", KINDS)
def test_autograd_sees_that_a_parameter_has_changed(kind):
    params = matrices()
    optimizer = build(kind, params, **({} if kind != "Tiger" else {"role": "bias"}))
    loss = sum((param**2).sum() for param in params)
    give_grads(params, 0)
    versions = [param._version for param in params]
    optimizer.step()
    assert all(param._version > version for param, version in zip(params, versions, strict=True))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_closures_schedulers_and_groups():
    first, second = matrices(count=2)
    optimizer = build("Lion", [{"params": [first], "lr": 0.5}])
    optimizer.add_param_group({"params": [second], "weight_decay": 0.0})
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    def closure():
        optimizer.zero_grad()
        loss = first.sum() - second.sum()
        loss.backward()
        return loss

    before = first.detach().clone(), second.detach().clone()
    assert optimizer.step(closure) == before[0].sum() - before[1].sum()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.005]
    wanted = signopt.lion(before[1].numpy(), -np.ones((5, 5), np.float32), np.zeros((5, 5), np.float32), lr=1e-2)
    assert_same_bits(second.detach().numpy(), wanted[0])
    optimizer.param_groups[0]["lr"] = torch.tensor(0.25)
    optimizer.step()


def test_a_grad_scaler_skips_what_overflowed():
    params = matrices()
    optimizer = build("Lion", params)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before = [param.detach().clone() for param in params]
    scaler.scale(sum(param.sum() for param in params)).backward()
    params[0].grad[0, 0] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    assert all(torch.equal(param, old) for param, old in zip(params, before, strict=True))
    optimizer.zero_grad()
    scaler.scale(sum(param.sum() for param in params)).backward()
    scaler.step(optimizer)
    wanted = rule_step("Lion", before[0], torch.ones_like(before[0]), torch.zeros_like(before[0]), 0)
    assert_same_bits(params[0].detach().numpy(), wanted[0])


def test_parameters_without_a_gradient_stay_and_do_not_count():
    first, second = matrices(count=2)
    optimizer = build("Tiger", [first, second])
    give_grads([first], 0)
    optimizer.step()
    assert [int(optimizer.state[param]["step"]) for param in (first, second)] == [1, 0]
    assert not optimizer.state[second]["momentum"].any()


def test_a_step_happens_on_all_parameters_or_on_none():
    params = matrices()
    optimizer = build("Lion", [{"params": params[:2]}, {"params": params[2:]}])
    before = [param.detach().clone() for param in params]
    give_grads(params, 0)
    params[2].grad = params[2].grad.to_sparse()
    with pytest.raises(TypeError, match="sparse"):
        optimizer.step()
    give_grads(params, 0)
    optimizer.param_groups[1]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr must be zero or positive"):
        optimizer.step()
    assert all(torch.equal(param, old) for param, old in zip(params, before, strict=True))


@pytest.mark.parametrize(
    ("kind", "params", "options", "words"),
    [
        ("Lion", [torch.zeros(2)], {"lr": -1.0}, "lr must be zero or positive"),
        ("Lion", [torch.zeros(2, dtype=torch.complex64)], {}, "complex64"),
        ("Lion", [torch.zeros(2)], {"momentum_dtype": torch.float64}, "momentum"),
        ("Tiger", [torch.ones(2)], {"role": "norm"}, "role must be one of"),
        ("Muon", [("b", torch.ones(2))], {}, "'b' has shape .2,. and is no matrix"),
    ],
)
def test_bad_input_is_refused_when_it_is_given(kind, params, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        getattr(signopt.torch, kind)(params, **options)


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


def test_a_model_moved_to_another_dtype_or_memory_is_followed():
    params = matrices()
    optimizer = build("Lion", params)
    give_grads(params, 0)
    optimizer.step()
    moved = [param.detach().clone() for param in params]
    for param, data in zip(params, moved, strict=True):
        param.data = data
    give_grads(params, 1)
    optimizer.step()
    assert (moved[0] == params[0]).all()
    params[0].data = params[0].data.half()
    give_grads(params, 2)
    optimizer.step()
    assert params[0].dtype == torch.float16


def test_a_compiled_training_step_has_the_rules_bits():
    params = matrices()
    optimizer = build("Lion", params)
    give_grads(params, 0)
    expected = [rule_step("Lion", p, p.grad, torch.zeros_like(p), 0)[0] for p in params]
    torch.compile(optimizer.step, backend="eager")()
    for param, wanted in zip(params, expected, strict=True):
        assert_same_bits(param.detach().numpy(), wanted)


def test_tensors_that_are_subclasses_are_updated_by_the_rule():
    class Tagged(torch.Tensor):
        pass

    plain = matrices(count=1)[0]
    tagged = torch.nn.Parameter(plain.detach().clone().as_subclass(Tagged))
    for param in (plain, tagged):
        param.grad = torch.ones_like(param)
        build("Lion", [param]).step()
    assert torch.equal(plain, tagged.as_subclass(torch.Tensor))


def test_roles_come_from_the_modules():
    class LlamaRMSNorm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(4))

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(9, 4)
            self.pos_embed = torch.nn.Parameter(torch.ones(3, 4))
            self.layers = torch.nn.ModuleList([torch.nn.TransformerEncoderLayer(4, 2, 8), LlamaRMSNorm()])
            self.frozen = torch.nn.Parameter(torch.ones(4), requires_grad=False)
            self.head = torch.nn.Linear(4, 9, bias=False)
            self.head.weight = self.embed.weight

    model = Model()
    names = {param: name for name, param in model.named_parameters()}
    by_role = {group["role"]: sorted(names[p] for p in group["params"]) for group in signopt.torch.groups(model)}
    assert by_role["embedding"] == ["embed.weight", "pos_embed"]
    assert by_role["scale"] == ["layers.0.norm1.weight", "layers.0.norm2.weight", "layers.1.weight"]
    assert all("bias" in name for name in by_role["bias"])
    assert "layers.0.self_attn.in_proj_bias" in by_role["bias"]
    assert by_role["matrix"] == [
        "layers.0.linear1.weight",
        "layers.0.linear2.weight",
        "layers.0.self_attn.in_proj_weight",
        "layers.0.self_attn.out_proj.weight",
    ]


def test_names_tell_roles_if_they_are_given():
    pairs = [("bert/embeddings/word", torch.ones(2, 2)), ("norm/gamma", torch.ones(2)), ("kernel", torch.ones(2, 2))]
    optimizer = signopt.torch.Tiger([(name, torch.nn.Parameter(value)) for name, value in pairs])
    group = optimizer.param_groups[0]
    assert [optimizer._role(group, index) for index in range(3)] == ["embedding", "scale", "matrix"]


def test_a_matrix_of_zeros_is_warned_about():
    with pytest.warns(UserWarning, match="'w' .*give their group the role"):
        signopt.torch.Tiger([("w", torch.nn.Parameter(torch.zeros(2, 2)))])


def test_tensors_that_share_memory_are_refused():
    memory = torch.zeros(10)
    broadcast = torch.nn.Parameter(torch.ones(1).expand(3))
    views = [torch.nn.Parameter(memory[:6]), torch.nn.Parameter(memory[4:])]
    for params, words in ((views, "overlap in memory"), ([broadcast], "in several elements")):
        for param in params:
            param.grad = torch.ones(param.shape)
        with pytest.raises(ValueError, match=words):
            build("Lion", params).step()
    assert not memory.any()


@pytest.mark.parametrize("kind", ["Lion", "Tiger"])
@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param(torch.ones(4, 6).T, id="transposed"),
        pytest.param(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), id="channels-last"),
        pytest.param(torch.ones(8, 8)[::2, ::3], id="strided"),
        pytest.param(torch.ones(()), id="0-d"),
        pytest.param(torch.ones(0, 3), id="empty"),
    ],
)
def test_every_layout(kind, tensor):
    param = torch.nn.Parameter(tensor.clone(memory_format=torch.preserve_format))
    param.grad = torch.randn(param.shape, generator=torch.Generator().manual_seed(0))
    expected = rule_step(kind, param, param.grad, torch.zeros_like(param), 0)
    build(kind, [param]).step()
    assert_same_bits(param.detach().numpy(), expected[0])


@pytest.mark.parametrize("rounding", ["stochastic", "split"])
@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("candidate", OWN_TORCH, ids=lambda candidate: candidate.rule)
def test_it_is_a_conforming_port(candidate):
    """`signopt check signopt/torch --profile strict` takes minutes; here is what a test has time for."""
    report = check(candidate.build(), profile="core")
    assert report.verdict == "pass", report.to_dict()
