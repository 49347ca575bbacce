"""States of ``keras.optimizers.Lion``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from signopt._host import to_host
from signopt.states._common import fitting, names_of, replaced, state_of_lion

if TYPE_CHECKING:
    from signopt.optimizer import Optimizer

__all__ = ["from_keras", "to_keras"]

_BESIDE = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
"""Settings with which an optimizer of Keras does more than its rule."""


def from_keras(optimizer: Optimizer, theirs: Any, *, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The state of a Keras Lion as one that ``optimizer.load_state_dict`` takes.

    Momenta, the count of steps, β1, β2, weight decay and a learning rate that is a number, which Keras keeps as a
    float32, are taken over. In place of a learning rate that is a schedule ``optimizer`` keeps its own.

    Parameters
    ----------
    optimizer : signopt.Lion
        Who shall go on with the training.
    theirs : keras.optimizers.Lion
        The optimizer, built for its variables.
    names : sequence of str, optional
        The names of the variables in the order in which theirs was built for them; by default those of ``optimizer``.

    Raises
    ------
    ValueError, TypeError
        For an optimizer that clips, averages, scales or accumulates, that is not built, or of other parameters.
    """
    (beta1, beta2, weight_decay), variables = _decays(theirs), _variables(theirs)
    ordered = names_of(names, list(optimizer.params), len(variables["momentum"]))
    momenta = dict(zip(ordered, variables["momentum"], strict=True))
    rates = [float(np.asarray(rate)) for rate in variables["learning_rate"]]
    hyper = {
        "betas": (beta1, beta2),
        "weight_decay": weight_decay,
        **({"lr": rates[0]} if rates else {}),
    }

    state = state_of_lion(optimizer, "a Keras Lion")
    momentum = {name: fitting(momenta[name], like, name) for name, like in state["momentum"].items()}
    return replaced(state, momentum, hyper, int(variables["iteration"][0]))


def to_keras(optimizer: Optimizer, theirs: Any, *, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The state of ``optimizer`` as the store that ``theirs.load_own_variables`` takes.

    Momenta, the count of steps and a learning rate that is a number are in it. β1, β2 and weight decay are attributes
    of a Keras optimizer and no part of its state: they must be ours already.

    Parameters
    ----------
    optimizer : signopt.Lion
        Whose state it is.
    theirs : keras.optimizers.Lion
        The optimizer, built for its variables.
    names : sequence of str, optional
        As for :func:`from_keras`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`from_keras`, and for another β1, β2 or weight decay.
    """
    decays, variables, state = _decays(theirs), _variables(theirs), state_of_lion(optimizer, "a Keras Lion")
    ordered = names_of(names, list(optimizer.params), len(variables["momentum"]))
    _check_same(state["hyper"], decays)
    for name, values in zip(ordered, variables["momentum"], strict=True):
        fitting(values, optimizer.momentum[name], name)
    store: dict[str, Any] = {}
    momenta = iter(ordered)
    for index, (kind, values) in enumerate(_kinds(theirs)):
        own = {"iteration": state["step"], "learning_rate": state["hyper"]["lr"]}
        store[str(index)] = (
            to_host(state["momentum"][next(momenta)]) if kind == "momentum" else np.asarray(own[kind], values.dtype)
        )
    return store


def _kinds(theirs: Any) -> list[tuple[str, Any]]:
    """Their own variables in their order, each with what it is for."""
    kinds = []
    for variable in theirs.variables:
        last = variable.path.rsplit("/", 1)[-1]
        kind = "momentum" if last.endswith("_momentum") else last
        if kind not in ("iteration", "learning_rate", "momentum"):
            raise ValueError(f"theirs keeps {variable.path!r}, which Lion has no place for")
        kinds.append((kind, to_host(variable.value)))
    return kinds


def _variables(theirs: Any) -> dict[str, list[Any]]:
    by_kind: dict[str, list[Any]] = {"iteration": [], "learning_rate": [], "momentum": []}
    for kind, values in _kinds(theirs):
        by_kind[kind].append(values)
    if not by_kind["momentum"]:
        raise ValueError("theirs has no momentum yet; build it for its variables first (optimizer.build)")
    return by_kind


def _decays(theirs: Any) -> tuple[float, float, float]:
    """β1, β2 and weight decay of an optimizer that does nothing beside its rule."""
    if used := [name for name in _BESIDE if getattr(theirs, name, None)]:
        raise ValueError(f"theirs is set to {', '.join(used)}, which Lion does not do")
    return float(theirs.beta_1), float(theirs.beta_2), float(theirs.weight_decay or 0.0)


def _check_same(hyper: Mapping[str, Any], theirs: tuple[float, float, float]) -> None:
    ours = (*hyper["betas"], hyper["weight_decay"])
    if ours != theirs:
        raise ValueError(f"beta_1, beta_2 and weight_decay of theirs are {theirs}, ours {ours}; make theirs with ours")
