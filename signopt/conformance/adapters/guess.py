"""A port from the name of an optimizer alone: how it is called, and what its state shows after one step.

What is guessed is what must otherwise be written into an adapter: which argument is which hyperparameter, where the
momentum lies, whether the hyperparameters can be changed between steps, what sign(NaN) is. Nothing that a rule demands
is guessed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from signopt.conformance.adapters.candidate import defaults_of, version_of
from signopt.conformance.adapters.optax import OptaxPort
from signopt.conformance.adapters.torch import TorchPort
from signopt.conformance.errors import GuessError

if TYPE_CHECKING:
    import torch

__all__ = ["arguments", "optax_port", "torch_port"]

Keywords = Mapping[str, Any]

_NAMES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "lr": (("lr",), ("learning_rate",)),
    "betas": (("betas",), ("beta1", "beta2"), ("b1", "b2"), ("beta_1", "beta_2")),
    "beta": (("beta",), ("momentum",), ("beta1",), ("b1",), ("mu",), ("decay",)),
    "weight_decay": (("weight_decay",), ("wd",), ("decoupled_weight_decay",)),
    "accumulation_steps": (("accumulation_steps",), ("grad_accumulation_steps",), ("accum_steps",)),
    "ns_coefficients": (("ns_coefficients",), ("ns_coeffs",)),
    "ns_steps": (("ns_steps",), ("nsteps",)),
    "eps": (("eps",), ("epsilon",)),
}
"""What the arguments for a hyperparameter are called in the field; a pair of names takes the two parts of a pair."""

_DEMANDED = ("lr", "betas", "beta", "weight_decay")
_MOMENTA = ("exp_avg", "momentum_buffer", "momentum", "mu", "trace", "ema", "m")


def arguments(function: Callable[..., Any], hyper: Keywords) -> Callable[[Keywords], dict[str, Any]]:
    """How to call ``function`` with the hyperparameters of a rule, of which ``hyper`` is an example.

    Raises
    ------
    GuessError
        If it has no argument for a hyperparameter that every port of the rule must take.
    """
    parameters = inspect.signature(function).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    found: dict[str, tuple[str, ...]] = {}
    for name in hyper:
        spellings = _NAMES.get(name, ((name,),))
        matching = [spelling for spelling in spellings if all(part in parameters for part in spelling)]
        if matching:
            found[name] = matching[0]
        elif takes_all:
            found[name] = spellings[0]
        elif name in _DEMANDED:
            raise GuessError(
                f"{_called(function)} has no argument for {name} (looked for "
                f"{', '.join('/'.join(spelling) for spelling in spellings)}); write a port file with an adapter instead"
            )

    def call(hyper: Keywords) -> dict[str, Any]:
        keywords: dict[str, Any] = {}
        for name, parts in found.items():
            keywords |= zip(parts, [hyper[name]] if len(parts) == 1 else hyper[name], strict=True)
        return keywords

    return call


def torch_port(target: str, rule: str, hyper: Keywords, device: str = "cpu") -> TorchPort:
    """The port of a class ``"package.module:Class"`` of :class:`torch.optim.Optimizer`'s kind.

    Parameters
    ----------
    target : str
    rule : str
        What it must implement.
    hyper : mapping
        Hyperparameters of the rule to try it with.
    device : str, default "cpu"
        Where torch is to put all tensors.

    Raises
    ------
    GuessError
        If it cannot be imported or called, or does not take a step.
    """
    optimizer = _imported(target)
    keywords = arguments(optimizer, hyper)
    try:
        group, state, nan = _one_torch_step(optimizer, keywords(hyper), device)
    # Foreign code may raise anything; the user is shown what it was.
    except Exception as error:
        raise GuessError(f"{target} did not take a step: {type(error).__name__}: {error}") from error
    return TorchPort(
        target,
        rule,
        lambda params, hyper: optimizer(params, **keywords(hyper)),
        settings=keywords if keywords(hyper).keys() <= group.keys() else None,
        momentum=_momentum([key for key, value in state.items() if getattr(value, "shape", None) == (2, 2)]),
        version=_version(target),
        nan=nan,
        device=device,
        constructor_defaults=defaults_of(optimizer),
    )


def _one_torch_step(optimizer: Callable[..., Any], keywords: Keywords, device: str) -> tuple[Keywords, Keywords, str]:
    """The parameter group and the state after a step on ones, and what an element does whose gradient is NaN."""
    import torch

    def step(grad: float) -> tuple[Any, torch.nn.Parameter]:
        param = torch.nn.Parameter(torch.ones(2, 2, device=device))
        param.grad = torch.full_like(param, grad)
        made = optimizer([param], **keywords)
        made.step()
        return made, param

    made, param = step(1.0)
    _, after_nan = step(float("nan"))
    nan = "propagate" if bool(torch.isnan(after_nan).any()) else "zero"
    return made.param_groups[0], dict(made.state[param]), nan


def optax_port(target: str, rule: str, hyper: Keywords) -> OptaxPort:
    """The port of a function ``"package.module:function"`` that returns an ``optax.GradientTransformation``.

    Parameters and errors are those of :func:`torch_port`.
    """
    function = _imported(target)
    keywords = arguments(function, hyper)
    try:
        fields, nan = _one_optax_step(function(**keywords(hyper)))
    # Foreign code may raise anything; the user is shown what it was.
    except Exception as error:
        raise GuessError(f"{target} did not take a step: {type(error).__name__}: {error}") from error
    return OptaxPort(
        target,
        rule,
        lambda hyper: function(**keywords(hyper)),
        momentum=_momentum(fields),
        jit=True,
        version=_version(target),
        subnormals="flush",
        nan=nan,
        constructor_defaults=defaults_of(function),
    )


def _one_optax_step(transformation: Any) -> tuple[list[str], str]:
    """The fields of the state that hold something of the parameters' names, and what NaN does."""
    import jax
    import jax.numpy as jnp

    params = {"probe": jnp.ones((2, 2))}
    state = transformation.init(params)
    updates, _ = transformation.update({"probe": jnp.full((2, 2), jnp.nan)}, state, params)
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    fields = [
        path[-2].name for path in paths if getattr(path[-1], "key", None) == "probe" and hasattr(path[-2], "name")
    ]
    return fields, "propagate" if bool(np.isnan(np.asarray(updates["probe"])).any()) else "zero"


def _momentum(keys: list[str]) -> str | None:
    """Which of several keys is the momentum's: the only one, else the first that the field calls so, else none."""
    distinct = list(dict.fromkeys(keys))
    return distinct[0] if len(distinct) == 1 else next((name for name in _MOMENTA if name in distinct), None)


def _imported(target: str) -> Callable[..., Any]:
    module, _, path = target.partition(":")
    if not path:
        raise GuessError(f"{target!r} names no attribute; write package.module:Name")
    try:
        value: Any = import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
    # Importing runs the module: whatever it raises is the target's.
    except (Exception, SystemExit) as error:
        raise GuessError(f"cannot import {target!r}: {type(error).__name__}: {error}") from error
    if not callable(value):
        raise GuessError(f"{target} is a {type(value).__name__}, which cannot be called")
    return value  # type: ignore[no-any-return]


def _version(target: str) -> str:
    return version_of(target.partition(":")[0].partition(".")[0].replace("_", "-"))


def _called(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__name__', function)}({', '.join(inspect.signature(function).parameters)})"
