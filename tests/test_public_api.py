"""The public names: complete, typed and documented."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import signopt

PUBLIC = {
    "Groups",
    "Lion",
    "Muon",
    "Signum",
    "Tiger",
    "__version__",
    "lion",
    "load",
    "msign",
    "muon",
    "save",
    "signum",
    "spectral_decay",
    "tiger",
    "tiger_facts",
}
OPTIMIZER = {
    "params",
    "momentum",
    "step",
    "state_dict",
    "load_state_dict",
    "backend",
    "step_count",
    "lr",
    "weight_decay",
    "schedule",
}


def callables():
    for name in sorted(PUBLIC - {"__version__"}):
        yield name, getattr(signopt, name)
    for name in ("Groups", "Lion", "Muon", "Signum", "Tiger"):
        for member, value in inspect.getmembers(getattr(signopt, name)):
            if not member.startswith("_") and callable(value):
                yield f"{name}.{member}", value


def test_all_lists_what_is_public():
    assert set(signopt.__all__) == PUBLIC
    modules = {module.name for module in pkgutil.iter_modules(signopt.__path__)}
    assert {name for name in dir(signopt) if not name.startswith("_")} - modules == PUBLIC - {"__version__"}


@pytest.mark.parametrize(
    ("name", "value"), list(callables()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_public_callables_are_typed_and_documented(name, value):
    assert inspect.getdoc(value)
    function = value.__init__ if inspect.isclass(value) else value
    for parameter in list(inspect.signature(function).parameters.values()):
        assert parameter.name == "self" or parameter.annotation is not parameter.empty, parameter
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", ["Lion", "Muon", "Signum", "Tiger"])
def test_optimizers_have_what_the_design_names(name):
    cls = getattr(signopt, name)
    assert {member for member in dir(cls) if not member.startswith("_")} >= OPTIMIZER
    for member in OPTIMIZER:
        assert inspect.getdoc(getattr(cls, member)), member


DEFAULTS = {
    "lion": {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0},
    "signum": {"lr": 1e-4, "beta": 0.9, "weight_decay": 0.0},
    "tiger": {
        "lr": 1e-3,
        "beta": 0.965,
        "weight_decay": 0.01,
        "accumulation_steps": 1,
        "shrink": 0.99,
        "schedule": None,
    },
}


@pytest.mark.parametrize("rule", DEFAULTS)
def test_defaults_are_the_sources(rule):
    extras = {"step": 0, "role": "matrix", "facts": None} if rule == "tiger" else {}
    roles = {"roles": None} if rule == "tiger" else {}
    assert keyword_only(getattr(signopt, rule)) == DEFAULTS[rule] | extras
    optimizer = {"rounding": "nearest", "seed": 0, "backend": "auto", "momentum_dtype": None, "schedule": None}
    assert keyword_only(getattr(signopt, rule.title()).__init__) == DEFAULTS[rule] | roles | optimizer


def keyword_only(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", [m.name for m in pkgutil.walk_packages(signopt.__path__, "signopt.")])
def test_every_module_says_what_it_is_for(name):
    source = Path(importlib.util.find_spec(name).origin).read_text()
    assert source.startswith('"""'), name


def test_importing_signopt_is_light():
    code = "import sys, signopt; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "jax", "optax", "cupy", "numba", "rich", "safetensors", "ml_dtypes", "scipy", "pytest"}
    assert not heavy & set(modules)


def test_the_package_is_typed():
    assert (Path(signopt.__file__).parent / "py.typed").exists()


def test_the_version_is_the_changelogs():
    changelog = Path(__file__).parents[1].joinpath("CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+), (unreleased|\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == signopt.__version__
    assert (newest[2] == "unreleased") == (".dev" in signopt.__version__)
