"""Ports made from a name alone: arguments are matched, the state is looked at, what cannot be guessed is said."""

import pytest

from signopt.conformance import check
from signopt.conformance.adapters.discovery import resolve
from signopt.conformance.adapters.guess import arguments
from signopt.conformance.errors import GuessError, TargetError

HYPER = {"lr": 0.5, "betas": (0.25, 0.75), "weight_decay": 0.125}


def test_arguments_are_matched_by_the_names_of_the_field():
    def pairs(params, learning_rate, b1, b2, wd): ...
    def plain(params, lr=1.0, betas=(0.9, 0.99), weight_decay=0.0, maximize=False): ...
    def everything(params, **options): ...

    assert arguments(pairs, HYPER)(HYPER) == {"learning_rate": 0.5, "b1": 0.25, "b2": 0.75, "wd": 0.125}
    assert arguments(plain, HYPER)(HYPER) == HYPER
    assert arguments(everything, HYPER)(HYPER) == HYPER


def test_a_missing_hyperparameter_is_named_with_what_was_looked_for():
    def lion(params, lr, betas): ...

    with pytest.raises(GuessError, match=r"lion\(params, lr, betas\) has no argument for weight_decay .*wd"):
        arguments(lion, HYPER)


@pytest.mark.parametrize(
    ("target", "rule", "momentum"),
    [
        ("torch=lion_pytorch:Lion", "lion", "exp_avg"),
        ("torch=pytorch_optimizer:SignSGD", "signum", "momentum_buffer"),
        ("optax=optax:lion", "lion", "mu"),
    ],
)
@pytest.mark.one_in(4)
def test_a_published_port_passes_by_its_name_alone(target, rule, momentum):
    for package in (target.partition("=")[0], target.partition("=")[2].partition(":")[0]):
        pytest.importorskip(package)
    port = resolve(target, rule)
    assert port._key == momentum
    report = check(port, "core", only=["step", "decay", "zero", "state"], dtypes=["float32"])
    assert report.verdict == "pass", report.failures[:2]


@pytest.mark.parametrize(
    ("target", "rule", "message"),
    [
        ("torch=torch.optim:SGD", None, r"--rule says which rule.*lion, signum, tiger"),
        ("torch=torch.optim:NoSuch", "lion", "cannot import"),
        ("torch=no_such_package:Lion", "lion", "cannot import 'no_such_package:Lion': ModuleNotFoundError"),
        ("torch=torch.optim:Adam", "signum", "has no argument for beta "),
        ("torch=torch", "lion", "names no attribute"),
        ("torch=torch:float32", "lion", "is a dtype, which cannot be called"),
        ("optax=optax:adam", "lion", "has no argument for weight_decay"),
    ],
)
def test_what_cannot_be_guessed_is_said(target, rule, message):
    pytest.importorskip("torch")
    with pytest.raises(TargetError, match=message):
        resolve(target, rule)


def test_an_optimizer_that_takes_no_step_is_reported_with_its_error(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    (tmp_path / "stuck_lion.py").write_text(
        "import torch\n"
        "class Lion(torch.optim.Optimizer):\n"
        "    def __init__(self, params, lr, betas, weight_decay):\n"
        "        super().__init__(params, {'lr': lr})\n"
        "    def step(self):\n"
        "        raise RuntimeError('no kernel image')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError, match="stuck_lion:Lion did not take a step: RuntimeError: no kernel image"):
        resolve("torch=stuck_lion:Lion", "lion")
