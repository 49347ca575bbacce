"""What the authors' own code of Muon computed, step by step, met from each of its states within the proven radius.

Differences of form are translated: other names, a momentum that is a sum (ours times 1 − β), ε as a least divisor (ours
is what must be added to reach it). torch's iteration in bfloat16 gets the radius of bfloat16. Two deviate from the
rule, and are met by what their code does instead.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import signopt
from tests.muon_judge import expected_step

FILE = Path(__file__).parents[1] / "data" / "traces" / "muon_traces.json"
CASES = {case["id"]: case for case in json.loads(FILE.read_text())}

ADJUSTED = {"moonlight": "match_rms_adamw", "keras": "match_rms_adamw"}
"""Whose updates are always scaled to AdamW's."""


def read(numbers, shape, dtype):
    return np.array([float.fromhex(number) for number in numbers]).astype(dtype).reshape(shape)


def states(case):
    """For each parameter and step: (name, step, param, grad, momentum, param after, momentum after)."""
    for name, start in case["params"].items():
        shape, dtype = start["shape"], case["dtype"]
        param = read(start["data"], shape, dtype)
        momentum = np.zeros_like(param)
        for step, (grads, after) in enumerate(zip(case["grads"], case["trace"], strict=True)):
            new = [read(after[name][what], shape, dtype) for what in ("param", "momentum")]
            yield name, step, param, read(grads[name], shape, dtype), momentum, *new
            param, momentum = new


def options(case):
    """The source's hyperparameters under the names of the rule."""
    hyper = case["hyper"]
    source = case["id"].split("-")[0]
    lr = hyper.get("lr", hyper.get("learning_rate"))
    return {
        "lr": float(np.float32(lr)) if source == "keras" else lr,
        "beta": hyper.get("momentum", hyper.get("beta")),
        "weight_decay": hyper.get("weight_decay", hyper.get("wd")),
        "eps": hyper.get("eps", 1e-7),
        "adjust_lr_fn": ADJUSTED.get(source, hyper.get("adjust_lr_fn")),
    }


def translated(case, grad, momentum):
    """Our momentum and hyperparameters for their state: forms of the momentum and of ε undone."""
    hyper = options(case)
    beta = hyper["beta"]
    if case["momentum_form"] == "sum":
        momentum, hyper["eps"] = (1 - beta) * momentum.astype(np.float64), (1 - beta) * hyper["eps"]
    if case["eps_form"] == "max":
        new = beta * momentum.astype(np.float64) + (1 - beta) * grad
        norm = np.linalg.norm(beta * new + (1 - beta) * grad)
        hyper["eps"] = max(norm, hyper["eps"]) - norm
    return momentum, hyper


def departs(case, name):
    """Whether this parameter's steps are not those of the rule."""
    return case["id"].startswith("optax") or (case["id"].startswith("kellerjordan") and name == "w6")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_step_is_met_within_the_radius(case):
    met = 0
    for name, _, param, grad, momentum, new_param, new_momentum in states(case):
        if departs(case, name):
            continue
        kept, hyper = translated(case, grad, momentum)
        wide = [array.astype(np.float64) for array in (param, grad, kept)]
        ours = signopt.muon(*wide, **hyper)
        expected = expected_step(param, grad, kept, ns_dtype=case["ns_dtype"], **hyper)
        assert (np.abs(ours[0] - new_param) <= expected.param_slack).all()
        share = 1 - hyper["beta"] if case["momentum_form"] == "sum" else 1.0
        assert (np.abs(ours[1] - share * new_momentum.astype(np.float64)) <= expected.momentum.slack).all()
        met += 1
    assert met >= 20 or case["id"].startswith("optax")


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case["ns_dtype"] != "bfloat16"], ids=lambda c: c["id"]
)
def test_the_radius_is_far_below_the_step(case):
    """So that it is a test at all: a wrong coefficient, scale or decay moves a parameter by a good part of its step.

    Five steps in bfloat16 have no small radius; ``docs/muon.md`` says what that means.
    """
    for name, _, param, grad, momentum, new_param, _ in states(case):
        kept, hyper = translated(case, grad, momentum)
        if not departs(case, name):
            slack = expected_step(param, grad, kept, ns_dtype=case["ns_dtype"], **hyper).param_slack
            assert slack.max() <= 0.02 * np.abs(new_param - param).max()


def test_kellerjordan_scales_a_kernel_by_its_own_sides():
    """Issue 63 of KellerJordan/Muon: √max(1, kh/kw) of a (6, 1, 1, 3) kernel is 1; the rule's is √(6/3)."""
    case = CASES["kellerjordan-decay-float32-ns_float32"]
    hyper = options(case)
    seen = 0
    for name, _, param, grad, momentum, new_param, _ in states(case):
        if name == "w6":
            p, g, m = (array.astype(np.float64) for array in (param, grad, momentum))
            new, _ = signopt.muon(p, g, m, **hyper | {"lr": hyper["lr"] / 2**0.5, "weight_decay": 0.0})
            theirs = new - hyper["lr"] * hyper["weight_decay"] * p
            np.testing.assert_allclose(new_param, theirs, rtol=0, atol=2e-6)
            assert np.abs(new_param - signopt.muon(p, g, m, **hyper)[0]).max() > 1e-3
            seen += 1
    assert seen == 4


def test_optax_corrects_its_bias_unequally_and_reads_kernels_as_inputs_by_outputs():
    case = CASES["optax-default-float32"]
    lr, beta = case["hyper"]["learning_rate"], case["hyper"]["beta"]
    differs = 0
    for _, step, param, grad, momentum, new_param, new_momentum in states(case):
        p, g, m = (array.astype(np.float64) for array in (param, grad, momentum))
        new = beta * m + (1 - beta) * g
        np.testing.assert_allclose(new_momentum, new, rtol=2e-6, atol=1e-7)
        u = beta * new / (1 - beta ** (step + 2)) + (1 - beta) * g / (1 - beta ** (step + 1))
        scale = max(1.0, p.shape[1] / p.shape[0]) ** 0.5
        np.testing.assert_allclose(new_param, p - lr * scale * signopt.msign(u, eps=1e-8), rtol=0, atol=1e-5)
        ours = signopt.muon(p, g, m, lr=lr, beta=beta, weight_decay=0.0)[0]
        differs += np.abs(new_param - ours).max() > 1e-3
    assert differs
