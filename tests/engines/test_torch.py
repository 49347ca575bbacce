"""The torch optimizers do what torch's users expect of an optimizer, with the bits of the rule."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import signopt  # noqa: E402
import signopt.torch  # noqa: E402
from signopt.conformance import check  # noqa: E402
from signopt.conformance.adapters.own_torch import OWN_TORCH  # noqa: E402
from signopt.conformance.adapters.torch import from_tensor  # noqa: E402
from tests.bits import assert_same_bits  # noqa: E402
from tests.engines.torch_cases import KINDS, build, give_grads, matrices, rule_step  # noqa: E402
from tests.thin import diagonal, some  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:all zero")

ON_CPU = [candidate for candidate in OWN_TORCH if candidate.device == "cpu"]


def costs_little(kind, dtype):
    return kind != "Tiger" or dtype in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    diagonal(KINDS, [torch.float64, torch.float16, torch.float32, torch.bfloat16], also=costs_little),
    ids=str,
)
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


@pytest.mark.parametrize(
    "candidate",
    some(ON_CPU, every=2),
    ids=lambda candidate: candidate.rule,
)
def test_it_is_a_conforming_port(candidate):
    """`signopt check signopt/torch --profile strict` takes minutes; here is what a test has time to compile."""
    report = check(candidate.build(), profile="core", dtypes=["float32", "bfloat16"])
    assert report.verdict == "pass", report.to_dict()
