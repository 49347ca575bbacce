"""What the authors' own code computed, step by step.

``tiger.py`` evaluates in the order of our rule, so its traces are met to the last bit in float64 and float32; its rate
and schedule factor are float32, which is reproduced by rounding the rate. ``lion_pytorch.py`` decays first, and torch
fuses a multiply into the following add: its traces are met from each of its states within one rounding per operation.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import signopt
from signopt.roles import role_of
from signopt.schedules import piecewise_linear
from tests.bits import assert_same_bits

FOLDERS = [Path(__file__).parents[1] / "data" / "traces", *filter(None, [os.environ.get("SIGNOPT_TRACES")])]
CASES = [
    case for folder in FOLDERS for file in sorted(Path(folder).glob("*.json")) for case in json.loads(file.read_text())
]
of_rule = {
    rule: [pytest.param(case, id=case["id"]) for case in CASES if case["rule"] == rule] for rule in ("lion", "tiger")
}


def read(numbers, shape, dtype):
    return np.array([float.fromhex(number) for number in numbers]).astype(dtype).reshape(shape)


def states(case):
    """For each micro-step and parameter: (step, name, param, grad, momentum, param after, momentum after)."""
    dtype = case["dtype"]
    for name, start in case["params"].items():
        shape = start["shape"]
        param = read(start["data"], shape, dtype)
        momentum = np.zeros_like(param)
        for step, (grads, after) in enumerate(zip(case["grads"], case["trace"], strict=True)):
            new = [read(after[name][what], shape, dtype) for what in ("param", "momentum")]
            yield step, name, param, read(grads[name], shape, dtype), momentum, *new
            param, momentum = new


def tiger_options(hyper, step):
    lr = np.float32(hyper.get("learning_rate", 1e-3))
    schedule = {int(key): factor for key, factor in hyper.get("lr_schedule", {0: 1}).items()}
    return {
        "lr": float(lr * np.float32(piecewise_linear(schedule, step))),
        "beta": hyper.get("beta", 0.965),
        "weight_decay": hyper.get("weight_decay", 0.01),
        "accumulation_steps": hyper.get("grad_accum_steps", 1),
        "shrink": hyper.get("shrink_ratio", 0.99),
    }


@pytest.mark.parametrize("case", of_rule["tiger"])
def test_tiger_to_the_last_bit(case):
    for step, name, param, grad, momentum, new_param, new_momentum in states(case):
        options = tiger_options(case["hyper"], step)
        ours = signopt.tiger(param, grad, momentum, step=step, role=role_of(name), **options)
        assert_same_bits(ours[0], new_param)
        assert_same_bits(ours[1], new_momentum)


def half_ulp(values):
    return np.spacing(np.abs(values)) / 2


def roundings(param, grad, momentum, new_param, new_momentum, *, lr, betas, weight_decay):
    """Half an ulp for each operation that one of the two orders rounds: bounds on the difference of p and of m."""
    half = half_ulp(np.ones((), param.dtype))
    decayed = param * (1 - lr * weight_decay)
    on_param = half_ulp(decayed) + np.abs(param) * half + lr * half_ulp(1 + np.abs(weight_decay * param))
    on_param += lr * (half_ulp(weight_decay * param) + 4 * half) + 4 * half * lr * weight_decay * np.abs(param)
    on_momentum = half_ulp((1 - betas[1]) * grad) + half_ulp(betas[1] * momentum)
    return on_param + 2 * half_ulp(new_param), on_momentum + 2 * half_ulp(new_momentum)


@pytest.mark.parametrize("case", of_rule["lion"])
def test_lion_within_one_rounding_per_operation(case):
    hyper = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0} | case["hyper"]
    for _, _, *arrays in states(case):
        param, grad, momentum, new_param, new_momentum = arrays
        ours = signopt.lion(param, grad, momentum, **hyper)
        for mine, theirs, bound in zip(ours, (new_param, new_momentum), roundings(*arrays, **hyper), strict=True):
            assert (np.abs(mine - theirs) <= bound).all()
        if not hyper["weight_decay"]:
            assert_same_bits(ours[0], new_param)


def test_traces_of_both_rules_and_dtypes_are_here():
    assert {(case["rule"], case["dtype"]) for case in CASES} >= {
        (rule, dtype) for rule in ("lion", "tiger") for dtype in ("float32", "float64")
    }
