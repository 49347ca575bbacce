"""States of optimizers with the interface of ``torch.optim``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from signopt._host import from_host, to_host
from signopt._namespace import Array, dtype_name
from signopt.rules.newton_schulz import triples_for
from signopt.states._common import State, each_state, fitting, names_of, replaced, unlike

if TYPE_CHECKING:
    from signopt.optimizer import Optimizer

__all__ = ["from_torch", "to_torch"]

_MOMENTA = ("exp_avg", "momentum_buffer", "momentum", "state1", "mu", "m")
"""The names under which momenta are kept in such states."""

_DECAY = {"weight_decouple": True, "fixed_decay": False, "decouple_lr": False, "decoupled_weight_decay": False}
_REST = {
    "maximize": False,
    "caution": False,
    "cautious": False,
    "use_gc": False,
    "adanorm": False,
    "amsgrad": False,
}
"""Settings of a group that change the rule, the former only with decay, and the value with which they do not."""


class _Their(NamedTuple):
    """What their state says of one parameter."""

    group: Mapping[str, Any]
    state: Mapping[str, Any]


def from_torch(
    optimizer: Optimizer, state_dict: Mapping[str, Any], *, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """The state of a torch optimizer as one that ``optimizer.load_state_dict`` takes.

    Momenta are copied bit for bit; a parameter that has not been stepped yet has one of zeros. The learning rate, β,
    weight decay and what else the rule has are taken from the parameter groups, which must agree for all parameters of
    one optimizer: for groups of different rates make a :class:`signopt.Groups`. The number of steps is taken if their
    state knows it. Schedules are not in such states: ``optimizer`` keeps its own.

    Parameters
    ----------
    optimizer : signopt.Lion, signopt.Signum, signopt.Muon or signopt.Groups
        Who shall go on with the training.
    state_dict : mapping
        ``theirs.state_dict()``.
    names : sequence of str, optional
        The names of their parameters, in the order in which theirs was given them. By default those in the state, if it
        has any, else the names of ``optimizer`` in its order.

    Raises
    ------
    ValueError, TypeError
        For a state with settings or tensors that are foreign to the rule (Kahan sums, AdaNorm, cautious updates, fully
        decoupled decay ...), of other parameters, or of groups that do not agree.

    Examples
    --------
    >>> import torch, lion_pytorch, signopt.states
    >>> weight = torch.ones(2, requires_grad=True)
    >>> theirs = lion_pytorch.Lion([weight], lr=0.25)
    >>> weight.grad = torch.tensor([1.0, -1.0])
    >>> theirs.step()
    >>> ours = signopt.Lion({"w": weight.detach()})
    >>> ours.load_state_dict(signopt.states.from_torch(ours, theirs.state_dict()))
    >>> ours.lr, ours.momentum["w"]
    (0.25, tensor([ 0.0100, -0.0100]))
    """
    theirs = _by_name(state_dict, names, list(optimizer.params))

    def imported(state: State) -> State:
        parts = {name: theirs[name] for name in state["momentum"]}
        rule = _rule(state["rule"])
        for name, their in parts.items():
            _check_settings(their, name)
        momentum = {name: _momentum(their, state["momentum"][name], name) for name, their in parts.items()}
        hyper = _agreed({name: rule.read(their.group) for name, their in parts.items()}, "hyperparameters")
        return replaced(state, momentum, hyper, _agreed({n: _steps(t) for n, t in parts.items()}, "numbers of steps"))

    return each_state(optimizer.state_dict(), imported)


def to_torch(
    optimizer: Optimizer, state_dict: Mapping[str, Any], *, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """The state of ``optimizer`` as one that a torch optimizer's ``load_state_dict`` takes.

    Parameters
    ----------
    optimizer : signopt.Lion, signopt.Signum, signopt.Muon or signopt.Groups
        Whose state it is.
    state_dict : mapping
        ``theirs.state_dict()``, which shows what theirs keeps; it need not have been stepped.
    names : sequence of str, optional
        As for :func:`from_torch`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`from_torch`, and for a momentum of another dtype than its parameter, which torch would round.

    Examples
    --------
    >>> import torch, lion_pytorch, signopt.states
    >>> ours = signopt.Lion([torch.ones(2)], lr=0.5)
    >>> ours.step([torch.tensor([1.0, -1.0])])
    >>> theirs = lion_pytorch.Lion(list(ours.params.values()))
    >>> theirs.load_state_dict(signopt.states.to_torch(ours, theirs.state_dict()))
    >>> theirs.state_dict()["state"][0]["exp_avg"], theirs.param_groups[0]["lr"]
    (tensor([ 0.0100, -0.0100]), 0.5)
    """
    theirs = _by_name(state_dict, names, list(optimizer.params))
    states: dict[str, State] = {}

    def noted(state: State) -> State:
        states.update(dict.fromkeys(state["momentum"], state))
        return state

    each_state(optimizer.state_dict(), noted)
    for name, their in theirs.items():
        _check_settings(their, name)
        _check_dtype(optimizer.params[name], states[name]["momentum"][name], name)
    ordered = iter(theirs)
    groups: list[dict[str, Any]] = []
    entries: dict[int, dict[str, Any]] = {}
    for group in state_dict["param_groups"]:
        members = {index: next(ordered) for index in group["params"]}
        groups.append(_group(group, {name: states[name] for name in members.values()}))
        entries |= {index: _entry(group, theirs[name].state, states[name], name) for index, name in members.items()}
    return {**state_dict, "state": entries, "param_groups": groups}


class _Rule(NamedTuple):
    """How a torch optimizer spells the hyperparameters of a rule, and its momentum unless its state shows it."""

    momentum: str
    read: Callable[[Mapping[str, Any]], dict[str, Any]]
    write: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


def _read_lion(group: Mapping[str, Any]) -> dict[str, Any]:
    beta1, beta2 = group["betas"] if "betas" in group else (group["beta1"], group["beta2"])
    return _rates(group) | {"betas": (float(beta1), float(beta2))}


def _write_lion(group: Mapping[str, Any], hyper: Mapping[str, Any]) -> dict[str, Any]:
    beta1, beta2 = hyper["betas"]
    return {"betas": (beta1, beta2)} if "betas" in group else {"beta1": beta1, "beta2": beta2}


def _read_signum(group: Mapping[str, Any]) -> dict[str, Any]:
    return _rates(group) | {"beta": float(group["momentum"])}


def _read_muon(group: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: group[name] for name in _MUON if name in group}
    return _read_signum(group) | kept | {"adjust_lr_fn": group.get("adjust_lr_fn") or "original"}


def _write_muon(group: Mapping[str, Any], hyper: Mapping[str, Any]) -> dict[str, Any]:
    triples = set(triples_for(hyper["ns_coefficients"], hyper["ns_steps"]))
    if len(triples) > 1:
        raise ValueError(f"torch's Muon has one triple for all steps, not ns_coefficients={hyper['ns_coefficients']!r}")
    if hyper["decay"] != "plain":
        raise ValueError(f"torch's Muon has no decay={hyper['decay']!r}")
    own = {**hyper, "ns_coefficients": triples.pop()}
    return {"momentum": hyper["beta"]} | {name: own[name] for name in (*_MUON, "adjust_lr_fn") if name in group}


def _rates(group: Mapping[str, Any]) -> dict[str, Any]:
    return {"lr": float(group["lr"]), "weight_decay": float(group["weight_decay"])}


_MUON = ("nesterov", "ns_coefficients", "ns_steps", "eps")
_RULES = {
    "lion": _Rule("exp_avg", _read_lion, _write_lion),
    "signum": _Rule("momentum_buffer", _read_signum, lambda group, hyper: {"momentum": hyper["beta"]}),
    "muon": _Rule("momentum_buffer", _read_muon, _write_muon),
}


def _rule(name: str) -> _Rule:
    if name not in _RULES:
        raise ValueError(f"no optimizer of torch's kind follows the rule {name!r}; those known are {', '.join(_RULES)}")
    return _RULES[name]


def _by_name(state_dict: Mapping[str, Any], names: Sequence[str] | None, own: list[str]) -> dict[str, _Their]:
    groups = state_dict["param_groups"]
    indices = [index for group in groups for index in group["params"]]
    if names is None and all("param_names" in group for group in groups):
        names = [name for group in groups for name in group["param_names"]]
    rows = [(index, group) for group in groups for index in group["params"]]
    return {
        name: _Their(group, state_dict["state"].get(index, {}))
        for name, (index, group) in zip(names_of(names, own, len(indices)), rows, strict=True)
    }


def _check_settings(their: _Their, name: str) -> None:
    demands = (_DECAY if their.group.get("weight_decay") else {}) | _REST
    for setting, demanded in demands.items():
        if setting in their.group and bool(their.group[setting]) != demanded:
            raise ValueError(
                f"theirs has {setting}={their.group[setting]!r} for {name!r}, which this rule does not have"
            )
    foreign = [
        key
        for key, value in their.state.items()
        if key not in (*_MOMENTA, "step") and value is not None and not _is_empty_sum(key, value)
    ]
    if foreign:
        raise ValueError(f"theirs keeps {', '.join(foreign)} for {name!r}, which this rule has no place for")


def _is_empty_sum(key: str, value: Any) -> bool:
    """Whether it is a Kahan sum with nothing in it."""
    return key == "kahan_comp" and not bool((value != 0).any())


def _key(their: _Their, name: str) -> str | None:
    keys = [key for key in _MOMENTA if their.state.get(key) is not None]
    if len(keys) > 1:
        raise ValueError(f"theirs keeps {' and '.join(keys)} for {name!r}: which is the momentum?")
    return keys[0] if keys else None


def _momentum(their: _Their, like: Array, name: str) -> Array:
    key = _key(their, name)
    return fitting(np.zeros_like(to_host(like)) if key is None else to_host(their.state[key]), like, name)


def _steps(their: _Their) -> int | None:
    steps = their.state.get("step", their.group.get("step"))
    return None if steps is None else int(steps)


def _agreed(values: Mapping[str, Any], what: str) -> Any:
    first = next(iter(values.values()))
    if any(value != first for value in values.values()):
        raise ValueError(f"their parameters have different {what}, and one optimizer has one; {unlike(values)}")
    return first


def _check_dtype(param: Array, momentum: Array, name: str) -> None:
    if dtype_name(param) != dtype_name(momentum):
        raise TypeError(
            f"the momentum of {name!r} has dtype {dtype_name(momentum)}, and torch would round it to that of the "
            f"parameter, {dtype_name(param)}"
        )


def _group(group: Mapping[str, Any], states: Mapping[str, State]) -> dict[str, Any]:
    """Their parameter group with our hyperparameters."""
    if not states:
        return dict(group)
    state = next(iter(states.values()))
    hyper = _agreed({name: state["hyper"] for name, state in states.items()}, "hyperparameters")
    rates = {"lr": hyper["lr"], "weight_decay": hyper["weight_decay"]}
    steps = {"step": state["step"]} if "step" in group else {}
    return {**group, **rates, **_rule(state["rule"]).write(group, hyper), **steps}


def _entry(group: Mapping[str, Any], their: Mapping[str, Any], state: State, name: str) -> dict[str, Any]:
    """Their state of one parameter with our momentum."""
    import torch

    key = _key(_Their(group, their), name) or _rule(state["rule"]).momentum
    entry = dict(their) | {key: from_host(to_host(state["momentum"][name]), torch.empty(0))}
    if "step" in entry:
        entry["step"] = torch.as_tensor(state["step"], dtype=torch.as_tensor(entry["step"]).dtype)
    if "kahan_sum" in group and "kahan_comp" not in entry:  # torch-optimi clears a state that has none
        entry["kahan_comp"] = torch.zeros_like(entry[key]) if entry[key].element_size() == 2 else None
    return entry
