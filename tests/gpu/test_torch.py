"""torch tensors on a CUDA device: the bits of the rule, streams, graphs, compiled rules, ranks."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import signopt  # noqa: E402
import signopt.torch  # noqa: E402
from signopt.conformance.adapters.torch import from_tensor, to_tensor  # noqa: E402
from tests.backends.cases import random_tensor  # noqa: E402
from tests.backends.cupy_device import NO_GPU, on_gpu  # noqa: E402
from tests.bits import assert_same_bits, bits, special_triple  # noqa: E402
from tests.engines.torch_cases import HYPER, KINDS, build, give_grads, rule_step  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not on_gpu(), reason=NO_GPU),
    pytest.mark.filterwarnings("ignore:all zero", "ignore:lr=:UserWarning"),
]
DEVICE = "cuda"
ELEMENTWISE = ["Lion", "Signum", "Tiger"]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
RULES = {
    "lion": signopt.lion,
    "signum": signopt.signum,
    "tiger": signopt.tiger,
    "tiger-bias": partial(signopt.tiger, role="bias"),
}


def on_device(tensors):
    return [torch.nn.Parameter(tensor.detach().to(DEVICE)) for tensor in tensors]


def host(tensor):
    return from_tensor(tensor.detach().cpu())


def made(dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(65, 33), (7,), (2, 3, 5), (1025, 3)]
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def gradients(params, seed):
    for param, grad in zip(params, made(params[0].dtype, seed + 1), strict=True):
        param.grad = grad.to(DEVICE)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_steps_are_the_rules(kind, dtype):
    params = on_device(made(dtype))
    optimizer = build(kind, params)
    momenta = [torch.zeros_like(param) for param in params]
    for step in range(4):
        gradients(params, step)
        expected = [
            rule_step(kind, *(tensor.detach().cpu() for tensor in row), step)
            for row in zip(params, (param.grad for param in params), momenta, strict=True)
        ]
        optimizer.step()
        for param, (new_param, new_momentum) in zip(params, expected, strict=True):
            assert_same_bits(host(param), new_param)
            assert_same_bits(host(optimizer.state[param]["momentum"]), new_momentum)
        momenta = [optimizer.state[param]["momentum"].clone() for param in params]


@pytest.mark.parametrize("rounding", ["stochastic", "split"])
@pytest.mark.parametrize("kind", [*ELEMENTWISE, "Muon"])
def test_other_ways_of_rounding_have_the_bits_of_the_cpu(kind, rounding):
    """Muon's products are cuBLAS's: its momentum alone has the bits."""
    tensors = [tensor for tensor in made(torch.bfloat16) if kind != "Muon" or tensor.ndim > 1]
    there, here = on_device(tensors), [torch.nn.Parameter(tensor.clone()) for tensor in tensors]
    optimizers = [build(kind, params, rounding=rounding, seed=7) for params in (there, here)]
    for step in range(3):
        for a, b in zip(there, here, strict=True):
            generator = torch.Generator().manual_seed(100 * step + a.numel())
            b.grad = torch.randn(b.shape, generator=generator).to(torch.bfloat16)
            a.grad = b.grad.to(DEVICE)
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(there, here, strict=True):
        states = optimizers[0].state[a], optimizers[1].state[b]
        for name in ("momentum", "rest") if kind != "Muon" else ("momentum",):
            assert (name in states[0]) == (name in states[1])
            if name in states[0]:
                assert_same_bits(host(states[0][name]), host(states[1][name]))
        if kind != "Muon":
            assert_same_bits(host(a), host(b))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_comes_after_the_backward_pass_of_its_stream(kind):
    """The gradient is made by long work on a stream that the host does not wait for."""
    param = torch.nn.Parameter(torch.ones(512, 512, device=DEVICE))
    optimizer = build(kind, [param])
    big = torch.ones(4096, 4096, device=DEVICE)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            late = big
            for _ in range(10):
                late = (late @ big) / 4096
            param.grad = (2 * late - 1)[:512, :512].contiguous()
            optimizer.step()
        after = param.detach().clone()
    stream.synchronize()
    other = torch.nn.Parameter(torch.ones(512, 512, device=DEVICE))
    reference = build(kind, [other])
    for _ in range(3):
        other.grad = torch.ones_like(other)
        torch.cuda.synchronize()
        reference.step()
        torch.cuda.synchronize()
    assert_same_bits(host(after), host(other))
    assert (host(after) != 1).all()


@pytest.mark.parametrize("kind", ["Lion", "Signum"])
def test_a_step_is_captured_by_torch_and_replayed(kind):
    params, wanted = on_device(made(torch.float32)), [p.detach().clone() for p in made(torch.float32)]
    optimizer = build(kind, params)
    gradients(params, 0)
    grads = [param.grad for param in params]
    momenta = [torch.zeros_like(param) for param in wanted]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        optimizer.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    for step in range(3):
        new = made(torch.float32, step + 1)
        if step:
            for grad, values in zip(grads, new, strict=True):
                grad.copy_(values)
            graph.replay()
        for index, (param, grad) in enumerate(zip(wanted, new, strict=True)):
            results = rule_step(kind, param, grad, momenta[index], step)
            wanted[index], momenta[index] = map(torch.from_numpy, map(np.asarray, results))
    for param, right in zip(params, wanted, strict=True):
        assert_same_bits(host(param), right.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_on_the_other_device(kind):
    tensors = [tensor for tensor in made(torch.float32) if tensor.ndim > 1]
    straight, moved = on_device(tensors), on_device(tensors)
    first, second = build(kind, straight), build(kind, moved)
    for step in range(2):
        for params, optimizer in ((straight, first), (moved, second)):
            for param, grad in zip(params, [g for g in made(torch.float32, step + 1) if g.ndim > 1], strict=True):
                param.grad = grad.to(DEVICE)
            optimizer.step()
    here = [torch.nn.Parameter(param.detach().cpu()) for param in moved]
    resumed = build(kind, here)
    resumed.load_state_dict(copy.deepcopy(second.state_dict()))
    give_grads(here, 9)
    for param, other in zip(straight, here, strict=True):
        param.grad = other.grad.to(DEVICE)
    first.step()
    resumed.step()
    for param, other in zip(straight, here, strict=True):
        assert resumed.state[other]["momentum"].device.type == "cpu"
        assert_same_bits(host(first.state[param]["momentum"]), host(resumed.state[other]["momentum"]))
        if kind != "Muon":
            assert_same_bits(host(param), host(other))


def test_a_grad_scaler_skips_what_overflowed():
    params = on_device([tensor for tensor in made(torch.float32) if tensor.ndim > 1])
    optimizer = build("Lion", params)
    scaler = torch.amp.GradScaler(DEVICE, init_scale=8.0)
    before = [host(param).copy() for param in params]
    scaler.scale(sum(param.sum() for param in params)).backward()
    params[0].grad[0, 0] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    for param, old in zip(params, before, strict=True):
        assert_same_bits(host(param), old)
    optimizer.zero_grad()
    scaler.scale(sum(param.sum() for param in params)).backward()
    scaler.step(optimizer)
    for param, old in zip(params, before, strict=True):
        right, _ = signopt.lion(old, np.ones_like(old), np.zeros_like(old), betas=(0.9, 0.98), **HYPER)
        assert_same_bits(host(param), right)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_in_operations_of_torch_has_numpys_bits(rule):
    arrays = random_tensor((64, 256), "f32", seed=0)
    results = RULES[rule](*(torch.from_numpy(array).to(DEVICE) for array in arrays), **HYPER)
    for result, right in zip(results, RULES[rule](*arrays, **HYPER), strict=True):
        assert_same_bits(host(result), right)


def compiled_bits(rule, arrays):
    """How many elements of parameter and momentum differ from NumPy's, once Triton has compiled the rule."""

    def step(*given):
        return rule(*given, **HYPER)

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    results = torch.compile(step)(*(to_tensor(array).to(DEVICE) for array in arrays))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"], "nothing was compiled"
    with np.errstate(all="ignore"):
        pairs = zip(results, step(*arrays), strict=True)
        return [int((bits(host(result)) != bits(np.asarray(right))).sum()) for result, right in pairs]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_triton_compiled_has_numpys_bits(rule):
    """Half of the elements have c within rounding of 0: one contracted product would change their signs."""
    assert compiled_bits(RULES[rule], random_tensor((64, 256), "f32", seed=0)) == [0, 0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("rule", ["lion", "signum", "tiger-bias"])
def test_two_compiled_steps_in_16_bits(rule, dtype):
    def two(param, grad, momentum, **hyper):
        param, momentum = RULES[rule](param, grad, momentum, **hyper)
        return RULES[rule](param, grad, momentum, **hyper)

    assert compiled_bits(two, random_tensor((64, 256), dtype, seed=0)) == [0, 0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("rule", ["lion", "signum", "tiger-bias"])
def test_a_compiled_rule_on_special_values(rule):
    assert compiled_bits(RULES[rule], special_triple(np.float32)) == [0, 0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("rule", ["lion", "signum"])
def test_without_the_fence_the_bits_would_differ(rule, monkeypatch):
    names = __import__("sys").modules[RULES[rule].__module__].__dict__
    monkeypatch.setitem(names, "fence", lambda product: product)
    assert compiled_bits(RULES[rule], random_tensor((64, 256), "f32", seed=0)) != [0, 0]


@pytest.mark.filterwarnings("ignore")
def test_a_sharded_model_on_nccl_has_the_bits_of_the_rule():
    """One rank: what NCCL and FSDP2 do to tensors and streams, and no average of gradients that could round."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.LayerNorm(48), torch.nn.Linear(48, 13)).to(DEVICE)
    twin = copy.deepcopy(model)
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    try:
        fully_shard(model)
        optimizer = build("Lion", model.parameters())
        momenta = [torch.zeros_like(param) for param in twin.parameters()]
        batch = torch.randn(16, 32, device=DEVICE)
        for _ in range(3):
            (model(batch) ** 2).mean().backward()
            optimizer.step()
            for index, (param, sharded) in enumerate(zip(twin.parameters(), model.parameters(), strict=True)):
                new, momentum = rule_step(
                    "Lion", *map(torch.Tensor.cpu, (param.data, sharded.grad.full_tensor(), momenta[index])), 0
                )
                assert_same_bits(host(sharded.full_tensor()), new)
                param.data.copy_(torch.from_numpy(new))
                momenta[index] = torch.from_numpy(momentum)
            optimizer.zero_grad()
    finally:
        dist.destroy_process_group()
