"""States of torch-like optimizers: the run goes on in either library as if it had never left the other."""

import copy

import numpy as np
import pytest

import signopt
from signopt.states import from_torch, to_torch
from tests.states.runs import LION, SHAPES, grads, noise, params

torch = pytest.importorskip("torch")
lion_pytorch = pytest.importorskip("lion_pytorch")
optimi = pytest.importorskip("optimi")
pytorch_optimizer = pytest.importorskip("pytorch_optimizer")

LIONS = {"lion-pytorch": lion_pytorch.Lion, "torch-optimi": optimi.Lion, "pytorch_optimizer": pytorch_optimizer.Lion}
DTYPES = ["float64", "float32", "float16", "bfloat16"]
every_lion = pytest.mark.parametrize("kind", LIONS.values(), ids=LIONS)


def tensors(arrays, dtype="float64"):
    return {name: torch.tensor(array.tolist(), dtype=getattr(torch, dtype)) for name, array in arrays.items()}


def made(kind, weights, **options):
    for weight in weights.values():
        weight.requires_grad_()
    return kind(list(weights.values()), **options)


def step(theirs, weights, gradients):
    for name, weight in weights.items():
        weight.grad = gradients[name].clone()
    theirs.step()


def detached(weights):
    return {name: weight.detach().clone() for name, weight in weights.items()}


def assert_same(one, other):
    for name in SHAPES:
        assert one[name].dtype == other[name].dtype
        assert torch.equal(one[name].detach(), other[name].detach()), name


@every_lion
@pytest.mark.parametrize("steps", [0, 3])
def test_our_lion_goes_on_where_theirs_stopped(kind, steps):
    weights = tensors(params())
    theirs = made(kind, weights, **LION)
    for t in range(steps):
        step(theirs, weights, tensors(grads(t)))
    mine = detached(weights)
    ours = signopt.Lion(mine, lr=9.0)
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    assert (ours.lr, ours.betas, ours.weight_decay) == tuple(LION.values())
    for t in range(steps, steps + 4):
        ours.step(tensors(grads(t)))
        step(theirs, weights, tensors(grads(t)))
        assert_same(mine, weights)


@every_lion
@pytest.mark.parametrize("stepped_before", [False, True])
def test_their_lion_goes_on_where_ours_stopped(kind, stepped_before):
    ours = signopt.Lion(tensors(params()), **LION)
    for t in range(3):
        ours.step(tensors(grads(t)))
    weights = {name: param.clone() for name, param in ours.params.items()}
    theirs = made(kind, weights, lr=0.125)
    if stepped_before:
        step(theirs, detached(weights), tensors(grads(50)))
        theirs_before = copy.deepcopy(theirs.state_dict())
    theirs.load_state_dict(to_torch(ours, theirs.state_dict()))
    for t in range(3, 7):
        ours.step(tensors(grads(t)))
        step(theirs, weights, tensors(grads(t)))
        assert_same(ours.params, weights)
    if stepped_before:
        assert theirs_before["param_groups"][0]["lr"] == 0.125


@every_lion
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_state_comes_back_with_the_same_bits(kind, dtype):
    """Of any gradients: theirs, through ours and a file's round, is theirs, and its run goes on the same."""
    options = {"kahan_sum": False} if kind is optimi.Lion else {}
    weights = tensors(params(), dtype)
    theirs = made(kind, weights, lr=0.1, weight_decay=0.3, **options)
    for t in range(3):
        step(theirs, weights, tensors(noise(t, "f4"), dtype))
    ours = signopt.Lion(detached(weights))
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    twins = {name: weight.clone() for name, weight in detached(weights).items()}
    twin = made(kind, twins, lr=0.9, **options)
    twin.load_state_dict(to_torch(ours, twin.state_dict()))
    for t in range(3, 6):
        step(theirs, weights, tensors(noise(t, "f4"), dtype))
        step(twin, twins, tensors(noise(t, "f4"), dtype))
        assert_same(weights, twins)


@pytest.mark.parametrize("rounding", ["stochastic", "split"])
def test_an_imported_run_goes_on_in_the_rounding_of_the_optimizer(rounding):
    """The first step after the import is the rule's on float32, from their bfloat16 weights, rounded with our seed."""
    weights = tensors(params(), "bfloat16")
    theirs = made(lion_pytorch.Lion, weights, lr=0.1, weight_decay=0.3)
    for t in range(3):
        step(theirs, weights, tensors(noise(t, "f4"), "bfloat16"))
    ours = signopt.Lion(detached(weights), rounding=rounding, seed=7)
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    assert (ours.rounding, ours.seed) == (rounding, 7)
    first, grad = ours.step_count, tensors(noise(3, "f4"), "bfloat16")
    ours.step(grad)
    numbers = {name: number for number, name in enumerate(sorted(SHAPES))}
    for name, weight in detached(weights).items():
        momentum = theirs.state[weights[name]]["exp_avg"].float()
        new, _ = signopt.lion(weight.float(), grad[name].float(), momentum, lr=0.1, weight_decay=0.3)
        if rounding == "stochastic":
            wanted = signopt.rounding.stochastic_bfloat16(new, seed=7, step=first, tensor=numbers[name])
        else:
            wanted, rest = signopt.rounding.split(new)
            assert torch.equal(ours.rests[name], rest)
        assert torch.equal(ours.params[name], wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_numpy_optimizer_takes_and_gives_the_bits(dtype):
    weights = tensors(params(), dtype)
    theirs = made(lion_pytorch.Lion, weights)
    step(theirs, weights, tensors(noise(0, "f4"), dtype))
    numpy_dtype = np.dtype("float32") if dtype == "bfloat16" else np.dtype(dtype)
    if dtype == "bfloat16":
        numpy_dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    ours = signopt.Lion({name: np.ones(shape, numpy_dtype) for name, shape in SHAPES.items()})
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    back = to_torch(ours, theirs.state_dict())
    for index in range(len(SHAPES)):
        assert torch.equal(back["state"][index]["exp_avg"], theirs.state_dict()["state"][index]["exp_avg"])
    assert back["param_groups"] == theirs.state_dict()["param_groups"]


def test_their_signum_and_ours():
    weights = tensors(params())
    theirs = made(pytorch_optimizer.SignSGD, weights, lr=0.25, momentum=0.5, weight_decay=0.5)
    for t in range(3):
        step(theirs, weights, tensors(grads(t)))
    ours = signopt.Signum(detached(weights))
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    assert (ours.lr, ours.beta, ours.weight_decay, ours.step_count) == (0.25, 0.5, 0.5, 3)
    twins = detached(weights)
    twin = made(pytorch_optimizer.SignSGD, twins)
    twin.load_state_dict(to_torch(ours, twin.state_dict()))
    for t in range(3, 6):
        ours.step(tensors(grads(t)))
        for one, those in ((theirs, weights), (twin, twins)):
            step(one, those, tensors(grads(t)))
            assert_same(ours.params, those)


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_their_muon_and_ours(adjust):
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon (before 2.9)")
    settings = {"lr": 0.25, "weight_decay": 0.5, "nesterov": False, "ns_steps": 4, "eps": 1e-5, "adjust_lr_fn": adjust}
    weight = tensors(params())["kernel"].float().requires_grad_()
    theirs = torch.optim.Muon([weight], momentum=0.5, **settings)
    for t in range(3):
        weight.grad = tensors(noise(t, "f4"), "float32")["kernel"]
        theirs.step()
    ours = signopt.Muon({"kernel": weight.detach().clone()})
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    assert ours.beta == 0.5
    assert {name: getattr(ours, name) for name in settings} == settings
    assert torch.equal(ours.momentum["kernel"], theirs.state[weight]["momentum_buffer"])
    twin_weight = weight.detach().clone().requires_grad_()
    twin = torch.optim.Muon([twin_weight])
    twin.load_state_dict(to_torch(ours, twin.state_dict()))
    for t in range(3, 6):
        for one, optimizer in ((weight, theirs), (twin_weight, twin)):
            one.grad = tensors(noise(t, "f4"), "float32")["kernel"]
            optimizer.step()
        assert torch.equal(weight.detach(), twin_weight.detach())


def test_muons_that_torch_has_not():
    weight = torch.ones(3, 3)
    theirs = torch.optim.Muon([weight.requires_grad_()]) if hasattr(torch.optim, "Muon") else None
    if theirs is None:
        pytest.skip("this torch has no Muon (before 2.9)")
    for options in ({"ns_coefficients": "polar-express"}, {"decay": "spectral"}):
        ours = signopt.Muon({"w": torch.ones(3, 3)}, **options)
        with pytest.raises(ValueError, match=next(iter(options))):
            to_torch(ours, theirs.state_dict())


def test_names_in_another_order():
    weights = tensors(params())
    order = ["scale", "kernel", "bias"]
    theirs = made(lion_pytorch.Lion, {name: weights[name] for name in order}, **LION)
    step(theirs, weights, tensors(grads(0)))
    ours = signopt.Lion(detached(weights))
    ours.load_state_dict(from_torch(ours, theirs.state_dict(), names=order))
    for name, weight in weights.items():
        assert torch.equal(ours.momentum[name], theirs.state[weight]["exp_avg"])
    back = to_torch(ours, theirs.state_dict(), names=order)
    assert torch.equal(back["state"][0]["exp_avg"], ours.momentum["scale"])


def test_names_that_their_state_knows():
    weights = tensors(params())
    order = ["scale", "kernel", "bias"]
    theirs = lion_pytorch.Lion([(name, weights[name].requires_grad_()) for name in order])
    if "param_names" not in theirs.param_groups[0]:
        pytest.skip("this torch does not keep the names of parameters (before 2.6)")
    step(theirs, weights, tensors(grads(0)))
    ours = signopt.Lion(detached(weights))
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    assert torch.equal(ours.momentum["scale"], theirs.state[weights["scale"]]["exp_avg"])


def test_groups_that_agree_are_one():
    weights = tensors(params())
    split = [{"params": [weights["kernel"]]}, {"params": []}, {"params": [weights["bias"], weights["scale"]]}]
    for weight in weights.values():
        weight.requires_grad_()
    theirs = lion_pytorch.Lion(split, **LION)
    step(theirs, weights, tensors(grads(0)))
    ours = signopt.Lion(detached(weights))
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    assert to_torch(ours, theirs.state_dict())["param_groups"] == theirs.state_dict()["param_groups"]
    theirs.param_groups[0]["lr"] = 0.5
    with pytest.raises(ValueError, match=r"different hyperparameters.*kernel: .*0\.5"):
        from_torch(ours, theirs.state_dict())


def test_groups_that_differ_are_groups():
    weights = tensors(params())
    for weight in weights.values():
        weight.requires_grad_()
    split = [
        {"params": [weights["bias"], weights["scale"]], "lr": 0.5, "weight_decay": 0.0},
        {"params": [weights["kernel"]]},
    ]
    theirs = lion_pytorch.Lion(split, **LION)
    order = ["bias", "scale", "kernel"]
    for t in range(3):
        step(theirs, weights, tensors(grads(t)))
    mine = detached(weights)
    ours = signopt.Groups(
        matrices=signopt.Lion({"kernel": mine["kernel"]}), rest=signopt.Lion({n: mine[n] for n in ("bias", "scale")})
    )
    ours.load_state_dict(from_torch(ours, theirs.state_dict(), names=order))
    assert (ours["matrices"].lr, ours["rest"].lr) == (0.25, 0.5)
    assert (ours["matrices"].weight_decay, ours["rest"].weight_decay) == (0.5, 0.0)
    back = to_torch(ours, theirs.state_dict(), names=order)
    assert back["param_groups"] == theirs.state_dict()["param_groups"]
    for t in range(3, 6):
        ours.step(tensors(grads(t)))
        step(theirs, weights, tensors(grads(t)))
        assert_same(mine, weights)


def changed(change):
    state = {"state": {0: {"exp_avg": torch.zeros(2)}}}
    state["param_groups"] = [{"params": [0], "lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.1}]
    change(state["param_groups"][0], state["state"][0])
    return state


REFUSED = {
    "decay in the gradient": (lambda g, s: g.update(weight_decouple=False), ValueError, "weight_decouple=False"),
    "decay without lr": (lambda g, s: g.update(decouple_lr=True), ValueError, "decouple_lr=True"),
    "ascent": (lambda g, s: g.update(maximize=True), ValueError, "maximize=True"),
    "cautious": (lambda g, s: g.update(cautious=True), ValueError, "cautious=True"),
    "a Kahan sum": (lambda g, s: s.update(kahan_comp=torch.ones(2)), ValueError, "keeps kahan_comp for 'w'"),
    "a second moment": (lambda g, s: s.update(exp_avg_sq=torch.zeros(2)), ValueError, "keeps exp_avg_sq for 'w'"),
    "two momenta": (lambda g, s: s.update(momentum_buffer=torch.zeros(2)), ValueError, "which is the momentum"),
    "another shape": (lambda g, s: s.update(exp_avg=torch.zeros(3)), ValueError, r"shape \(3,\), ours \(2,\)"),
    "another dtype": (lambda g, s: s.update(exp_avg=torch.zeros(2).double()), TypeError, "dtype torch.float64"),
    "another number of parameters": (lambda g, s: g.update(params=[0, 1]), ValueError, "2 parameters"),
    "other names": (lambda g, s: g.update(param_names=["v"]), ValueError, "names v are not those"),
}


@pytest.mark.parametrize(("change", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_lion_is_refused_by_name(change, error, words):
    ours = signopt.Lion({"w": torch.ones(2)})
    for exchange in (from_torch, to_torch)[: 1 if "another" in words or "dtype" in words or "shape" in words else 2]:
        with pytest.raises(error, match=words):
            exchange(ours, changed(change))


def test_decay_flags_do_not_matter_without_decay():
    ours = signopt.Lion({"w": torch.ones(2)})
    from_torch(ours, changed(lambda g, s: g.update(weight_decouple=False, weight_decay=0.0)))


def test_what_torch_would_round_is_refused():
    ours = signopt.Lion({"w": torch.ones(2, dtype=torch.bfloat16)}, momentum_dtype="float32")
    with pytest.raises(TypeError, match="torch would round it"):
        to_torch(ours, changed(lambda g, s: None))


def test_tiger_has_no_counterpart():
    ours = signopt.Tiger({"w": torch.ones(2)})
    with pytest.raises(ValueError, match="follows the rule 'tiger'"):
        from_torch(ours, changed(lambda g, s: None))
