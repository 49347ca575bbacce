"""Hyperparameters as attributes: names that do not exist, schedules, and how an optimizer prints itself."""

import numpy as np
import pytest

import signopt
from signopt.schedules import Cosine
from tests.bits import assert_same_bits, random_triple


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("learning_rate", "lr"), ("LR", "lr"), ("weigth_decay", "weight_decay"), ("wd", "weight_decay")],
)
def test_a_name_that_does_not_exist_is_an_error_with_the_nearest(wrong, meant, every_optimizer):
    opt = every_optimizer([np.ones(2)])
    with pytest.raises(AttributeError, match=f"has no hyperparameter '{wrong}'; did you mean '{meant}'"):
        setattr(opt, wrong, 0.5)
    assert not hasattr(opt, wrong)


@pytest.mark.parametrize(
    ("rule", "wrong", "says"),
    [
        ("Lion", "beta", "; did you mean 'betas'? It has lr, betas, weight_decay, schedule, seed"),
        ("Signum", "betas", "; did you mean 'beta'? It has lr, beta, weight_decay, schedule, seed"),
        ("Signum", "momentun", ". It has lr, beta, weight_decay, schedule, seed"),
    ],
)
def test_each_rule_has_its_own_names(rule, wrong, says):
    with pytest.raises(AttributeError) as caught:
        setattr(getattr(signopt, rule)([np.ones(2)]), wrong, 0.5)
    assert str(caught.value) == f"{rule} has no hyperparameter {wrong!r}{says}"


@pytest.mark.parametrize("name", ["params", "momentum", "backend", "step_count"])
def test_what_is_no_hyperparameter_cannot_be_set(name, every_optimizer):
    with pytest.raises(AttributeError):
        setattr(every_optimizer([np.ones(2)]), name, None)


def test_subclasses_may_declare_attributes():
    class Tagged(signopt.Lion):
        tag = ""

    opt = Tagged([np.ones(2)])
    opt.tag = "mine"
    assert opt.tag == "mine"


def test_an_optimizer_prints_what_it_is():
    params = {"w": np.ones((1000, 3)), "b": np.ones(())}
    opt = signopt.Lion(params, lr=0.25, schedule=Cosine(9), backend="numpy")
    assert repr(opt) == (
        "Lion(lr=0.25, betas=(0.9, 0.99), weight_decay=0.0, schedule=Cosine(total_steps=9, warmup_steps=0, final=0.0), "
        "seed=0) of 2 tensors, 3,001 parameters, backend 'numpy'"
    )
    alone = repr(signopt.Tiger([np.ones(1)], schedule={4: 1.0}, backend="portable"))
    assert alone.startswith("Tiger(lr=0.001, beta=0.965, ")
    assert "schedule={4: 1.0}" in alone
    assert alone.endswith(" of 1 tensor, 1 parameter, backend 'portable'")


SCHEDULES = {"points": {2: 1.0, 6: 0.25}, "cosine": Cosine(8, warmup_steps=2), "function": lambda step: 1 / (1 + step)}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("rule", ["lion", "signum"])
@pytest.mark.parametrize("backend", ["portable", "numpy", "numba"])
def test_a_schedule_multiplies_the_learning_rate(rule, schedule, backend):
    param, _, momentum = random_triple((7,), np.float64)
    momentum[...] = 0
    expected = param.copy(), momentum
    opt = getattr(signopt, rule.title())({"w": param}, lr=0.3, weight_decay=0.1, schedule=schedule, backend=backend)
    factors = [signopt.schedules.factor_at(schedule, step) for step in range(9)]
    assert len(set(factors)) > 3
    for step, factor in enumerate(factors):
        grad = random_triple((7,), np.float64, step)[1]
        opt.step({"w": grad})
        expected = getattr(signopt, rule)(expected[0], grad, expected[1], lr=0.3 * factor, weight_decay=0.1)
        assert_same_bits(param, expected[0])
        assert_same_bits(opt.momentum["w"], expected[1])
    assert opt.lr == 0.3


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), "fast", 1e308])
def test_a_factor_that_cannot_be_leaves_everything_as_it_was(factor, every_optimizer):
    param = np.ones(2)
    opt = every_optimizer([param], lr=100.0, schedule=lambda step: factor)
    with pytest.raises((TypeError, ValueError), match=r"schedule\(0\)|lr"):
        opt.step([np.ones(2)])
    assert (param.tolist(), opt.momentum["0"].tolist(), opt.step_count) == ([1.0, 1.0], [0.0, 0.0], 0)


def test_a_schedule_may_be_set_between_steps(every_optimizer):
    param = np.ones(2)
    opt = every_optimizer([param], lr=0.5)
    opt.schedule = {0: 0.0}
    opt.step([np.ones(2)])
    assert param.tolist() == [1.0, 1.0]
    opt.schedule = None
    opt.step([np.ones(2)])
    assert param[0] < 1.0
