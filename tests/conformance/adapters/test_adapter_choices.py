"""The choices of the adapters: optimizers that cannot be changed, that keep more than a momentum, that want names."""

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.driver import Driver

torch = pytest.importorskip("torch")
HYPER = {"lr": 0.25, "betas": (0.5, 0.75), "weight_decay": 0.5}
PARAMS = {"w": np.array([2.0, -4.0]), "b": np.array([8.0])}
GRADS = {"w": np.array([2.0, -8.0]), "b": np.array([-4.0])}
MOMENTUM = {"w": np.array([1.0, 2.0]), "b": np.array([0.0])}


class Lion(torch.optim.Optimizer):
    """The update of the paper."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.update(p, group, self.state[p])

    def update(self, p, group, state):
        state.setdefault("exp_avg", torch.zeros_like(p))
        (beta1, beta2), m, g = group["betas"], state["exp_avg"], p.grad
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(torch.sign(beta1 * m + (1 - beta1) * g), alpha=group["lr"])
        m.mul_(beta2).add_(g, alpha=1 - beta2)


class Counting(Lion):
    """Keeps a count that it expects beside a momentum, as Adam's descendants do."""

    def update(self, p, group, state):
        if not state:
            state["step"] = 0
        state["step"] += 1
        super().update(p, group, state)


class CountingTensor(Counting):
    """The same in a tensor, in place."""

    def update(self, p, group, state):
        if not state:
            state["step"] = torch.zeros(())
        state["step"].add_(1)
        Lion.update(self, p, group, state)
        assert float(state["step"]) < 3, "two parameters share the count"


class Closing(Lion):
    """Demands a closure."""

    def step(self, closure):
        assert closure() is not None
        super().step()


def port(optimizer, settings=dict, **options):
    from signopt.conformance.adapters.torch import TorchPort

    return TorchPort("theirs", "lion", lambda p, h: optimizer(p, **h), settings, nan="zero", **options)


def after_a_step(port, momentum=MOMENTUM):
    port.init(PARAMS, HYPER, momentum)
    port.step(GRADS)
    return {name: array.copy() for name, array in port.params().items()}


def test_without_settings_nothing_is_reconfigured_and_a_right_port_passes():
    unchangeable = port(Lion, settings=None)
    assert not Driver(unchangeable).configurable
    assert Driver(port(Lion)).configurable
    report = check(unchangeable, "core")
    assert report.verdict == "pass", report.failures[:2]


def test_a_state_with_more_than_the_momentum_cannot_be_set_and_the_error_says_what_to_pass():
    counting = port(Counting)
    with pytest.raises(NotImplementedError, match=r"'step'.*beside"):
        counting.init(PARAMS, HYPER, MOMENTUM)
    report = check(counting, "core")
    assert report.verdict == "pass", report.failures[:2]


def test_what_stands_beside_the_momentum_belongs_to_each_parameter_alone():
    declared = port(CountingTensor, beside={"step": torch.zeros(())})
    from_a_function = port(CountingTensor, beside=lambda param: {"step": torch.zeros((), dtype=param.dtype)})
    for each in (declared, from_a_function):
        each.init(PARAMS, HYPER, MOMENTUM)
        each.step(GRADS)
        each.step(GRADS)


def test_a_momentum_under_another_key_is_a_mistake_of_the_port_file():
    report = check(port(Lion, momentum="momentum_buffer"), only=["momentum"], dtypes=["float32"], diagnose=False)
    assert report.verdict == "undecided"
    assert "the state has no 'momentum_buffer', it has 'exp_avg'" in report.checks[0].reason
    assert check(port(Lion, momentum=None), only=["momentum"], dtypes=["float32"]).verdict == "pass"


def test_a_momentum_in_another_field_is_a_mistake_of_the_port_file():
    optax = pytest.importorskip("optax")
    from signopt.conformance.adapters.optax import OptaxPort

    def lion(hyper):
        return optax.lion(hyper["lr"], *hyper["betas"], weight_decay=hyper["weight_decay"])

    report = check(OptaxPort("theirs", "lion", lion, momentum="m"), only=["momentum/written"], dtypes=["float32"])
    assert report.verdict == "undecided"
    assert "the state has no field 'm', it has 'mu'" in report.checks[0].reason


def test_an_optimizer_that_demands_a_closure_gets_one():
    np.testing.assert_array_equal(after_a_step(port(Closing))["w"], after_a_step(port(Lion))["w"])


def test_names_reach_an_optimizer_that_asks_for_them():
    from signopt.conformance.adapters.torch import TorchPort

    seen = []

    def build(pairs, hyper):
        seen.extend(name for name, _ in pairs)
        return Lion([param for _, param in pairs], **hyper)

    after_a_step(TorchPort("named", "lion", build, named=True), None)
    assert seen == ["w", "b"]


def test_settings_may_differ_from_group_to_group():
    from signopt.conformance.adapters.torch import TorchPort

    def build(params, hyper):
        groups = [{"params": params[:1]}, {"params": params[1:], "weight_decay": 0.0}]
        return Lion(groups, **hyper)

    grouped = TorchPort("groups", "lion", build, lambda hyper: [hyper, hyper | {"weight_decay": 0.0}])
    grouped.init(PARAMS, HYPER, MOMENTUM)
    grouped.configure(HYPER | {"lr": 1.0})
    grouped.step(GRADS)
    np.testing.assert_array_equal(grouped.params()["w"], [2 - 1.0 * (1 + 1), -4 - 1.0 * (-1 - 2)])
    np.testing.assert_array_equal(grouped.params()["b"], [8 - 1.0 * (-1)])


def transformed(make, **options):
    pytest.importorskip("optax")
    from signopt.conformance.adapters.optax import OptaxPort

    return OptaxPort("theirs", "lion", make, subnormals="flush", **options)


def lion_of_optax(hyper):
    import optax

    return optax.lion(hyper["lr"], *hyper["betas"], weight_decay=hyper["weight_decay"])


def test_a_float32_model_runs_without_x64():
    jax = pytest.importorskip("jax")
    seen = []

    def make(hyper):
        seen.append(jax.config.jax_enable_x64)
        return lion_of_optax(hyper)

    narrow = transformed(make)
    single = [{name: array.astype("float32") for name, array in each.items()} for each in (PARAMS, GRADS, MOMENTUM)]
    narrow.init(single[0], HYPER, single[2])
    narrow.step(single[1])
    narrow.init(PARAMS, HYPER, MOMENTUM)
    assert narrow.params()["w"].dtype == np.float64
    assert seen[0] is False


def injected(hyper):
    import optax

    beta1, beta2 = hyper["betas"]
    return optax.inject_hyperparams(optax.lion)(hyper["lr"], beta1, beta2, weight_decay=hyper["weight_decay"])


def divided(hyper):
    import optax

    labels = {"w": "matrices", "b": "rest"}
    return optax.multi_transform({"matrices": lion_of_optax(hyper), "rest": lion_of_optax(hyper)}, labels)


@pytest.mark.parametrize("make", [lion_of_optax, injected, divided])
def test_a_momentum_is_set_and_read_wherever_it_lies(make):
    theirs = transformed(make)
    params = after_a_step(theirs)
    np.testing.assert_array_equal(theirs.momentum()["w"], 0.75 * MOMENTUM["w"] + 0.25 * GRADS["w"])
    np.testing.assert_array_equal(theirs.momentum()["b"], 0.25 * GRADS["b"])
    np.testing.assert_array_equal(params["w"], [2 - 0.25 * (1 + 1), -4 + 0.25 * (1 + 2)])


@pytest.mark.parametrize(
    "only",
    [["step/exact", "step/rate", "decay/size"], pytest.param(None, marks=pytest.mark.thorough)],
    ids=["few", "all"],
)
def test_injected_hyperparameters_are_no_fault(only):
    report = check(transformed(injected, dtypes=["float32"], jit=True), "core", only=only)
    assert report.verdict == "pass", report.failures[:2]
