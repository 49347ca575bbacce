"""Several optimizers as one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from signopt import _checks as checks
from signopt import _hyperparameters as hyperparameters
from signopt import _state as state_format
from signopt._identity import SameArrays
from signopt._namespace import Array
from signopt._signals import DeferredSignals
from signopt.backends import adopt
from signopt.optimizer._params import Arrays, in_order, names_of_frozen
from signopt.optimizer._turns import Turn, in_turn
from signopt.optimizer.base import Optimizer

__all__ = ["Groups"]

Result = TypeVar("Result")


class Groups:
    """Several optimizers over disjoint parameters as one: one step, one state, one file.

    For rates and decay that differ between parameters, or rules that do: a group whose ``weight_decay`` is 0, one for
    the embeddings with a rate of its own, one for the matrices of Muon. A step happens on the parameters of all groups
    or, with an error, on none.

    Parameters
    ----------
    **optimizers : Optimizer
        By the name of the group. The names of their parameters must be disjoint, and so must be the arrays in memory;
        their libraries, devices and rules may differ.

    Raises
    ------
    TypeError
        For something that is no optimizer.
    ValueError
        For no group, a parameter's name in two groups, arrays that overlap, or "/" in the name of a group.

    Notes
    -----
    Gradients are one flat mapping over the parameters of all groups, or a sequence in their order; a mapping of
    mappings by group is not taken. Hyperparameters belong to the groups: ``groups["decayed"].lr = 3e-5``. To step one
    group alone is allowed, and is not counted in :attr:`step_count`.

    Examples
    --------
    No decay on what has fewer than two axes:

    >>> import numpy as np
    >>> import signopt
    >>> weights = {"dense/kernel": np.ones((2, 2)), "dense/bias": np.ones(2)}
    >>> decayed = {name: array for name, array in weights.items() if array.ndim > 1}
    >>> rest = {name: array for name, array in weights.items() if array.ndim < 2}
    >>> opt = signopt.Groups(decayed=signopt.Lion(decayed, lr=0.25, weight_decay=0.5), rest=signopt.Lion(rest, lr=0.25))
    >>> opt.step({name: np.zeros_like(array) for name, array in weights.items()})
    >>> weights["dense/kernel"][0], weights["dense/bias"]
    (array([0.875, 0.875]), array([1., 1.]))
    """

    def __init__(self, **optimizers: Optimizer) -> None:
        _check_groups(optimizers)
        self._optimizers = dict(optimizers)
        self._steps = 0
        self._bind()
        checks.check_disjoint(self._labelled(), {})

    def __getitem__(self, group: str) -> Optimizer:
        """The optimizer of that group."""
        if group not in self._optimizers:
            raise KeyError(f"there is no group {group!r}; the groups are {', '.join(map(repr, self._optimizers))}")
        return self._optimizers[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizers)

    def __len__(self) -> int:
        return len(self._optimizers)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name.startswith("_") or hasattr(type(self), name)):
            one = f"groups[{next(iter(self._optimizers))!r}].{name}"
            raise AttributeError(f"Groups has no hyperparameter {name!r}; set it on a group, as in {one} = ...")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        groups = "".join(f"    {name}={optimizer!r},\n" for name, optimizer in self._optimizers.items())
        return f"Groups(\n{groups})"

    @property
    def params(self) -> Mapping[str, Array]:
        """The parameters of all groups by name, in the order of the groups."""
        return MappingProxyType(self._params)

    @property
    def momentum(self) -> Mapping[str, Array]:
        """The live momentum of each parameter, by name."""
        return MappingProxyType(
            {n: array for group in self._optimizers.values() for n, array in group.momentum.items()}
        )

    @property
    def step_count(self) -> int:
        """How many steps have been taken on all groups at once."""
        return self._steps

    def step(self, grads: Arrays, *, frozen: Collection[str] = ()) -> None:
        """Update every parameter of every group in place with its gradient, or raise and update none.

        Parameters
        ----------
        grads : mapping or sequence
            {name: array} with exactly the names of :attr:`params`, or one array for each in their order.
        frozen : collection of str, default ()
            As for :meth:`signopt.Lion.step`, of any groups.

        Raises
        ------
        TypeError, ValueError
            As for :meth:`signopt.Lion.step`, and for a gradient that overlaps an array of any group.
        """
        self._at_once("step", lambda: self._prepare_step(grads, frozen))

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: format version, number of steps, and the state of each group by name."""
        with self._turn.lock:
            return {
                "version": state_format.VERSION,
                "rule": state_format.GROUPS,
                "step": self._steps,
                "groups": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of all groups from :meth:`state_dict`, or raise and change nothing.

        Raises
        ------
        ValueError, TypeError
            For a state of other groups, or one that does not fit its group, which is named.
        """
        self._at_once("load_state_dict", lambda: self._prepare_load(state))

    def _at_once(self, what: str, prepare: Callable[[], Callable[[], None]]) -> None:
        """Prepare a change of all groups, then make it, with nobody else changing any of them meanwhile."""

        def change() -> None:
            write = prepare()
            with DeferredSignals():
                write()

        # In one order, so that two threads with groups of the same optimizers do not wait for each other.
        in_turn((self._turn, *sorted((group._turn for group in self._optimizers.values()), key=id)), what, change)

    def _prepare_step(self, grads: Arrays, frozen: Collection[str]) -> Callable[[], None]:
        still = names_of_frozen(frozen, self._params)
        given = self._by_group(grads, still)
        known = self._recognises(given)
        parts = given if known else self._checked(given)
        pairs = zip(self._optimizers.values(), parts, strict=True)
        updates = [optimizer._prepare_step(part, still & optimizer.params.keys()) for optimizer, part in pairs]
        if not known:
            self._remember(given, parts)

        def write() -> None:
            for update in updates:
                update()
            self._steps += 1

        return write

    def _prepare_load(self, state: Mapping[str, Any]) -> Callable[[], None]:
        state_format.check_groups(state, self._optimizers)
        steps = hyperparameters.micro_step(state["step"], "state['step']")
        updates = []
        for name, optimizer in self._optimizers.items():
            try:
                updates.append(optimizer._prepare_load(state_format.apart_in(state["groups"][name], self._momentum)))
            except (TypeError, ValueError) as error:
                raise type(error)(f"group {name!r}: {error}") from error

        def write() -> None:
            for update in updates:
                update()
            self._steps = steps

        return write

    def _bind(self) -> None:
        groups = self._optimizers.values()
        self._params = {name: array for group in groups for name, array in group.params.items()}
        self._momentum = {name: array for group in groups for name, array in group.momentum.items()}
        self._turn = Turn()
        self._seen = [SameArrays() for _ in self._optimizers]

    def __getstate__(self) -> dict[str, Any]:
        with self._turn.lock:
            return {"optimizers": dict(self._optimizers), "steps": self._steps}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._optimizers, self._steps = state["optimizers"], state["steps"]
        self._bind()

    def _labelled(self) -> dict[str, Array]:
        named = (("params", self._params), ("momentum", self._momentum))
        return {f"{what}[{name!r}]": array for what, arrays in named for name, array in arrays.items()}

    def _by_group(self, grads: Arrays, frozen: frozenset[str]) -> list[dict[str, Any]]:
        """For each group the gradients of its parameters that are not frozen."""
        moving = [name for name in self._params if name not in frozen]
        if isinstance(grads, Mapping):
            ordered = in_order({name: grads[name] for name in grads if name not in frozen}, moving)
        else:
            pairs = zip(self._params, in_order(grads, self._params), strict=True)
            ordered = [grad for name, grad in pairs if name not in frozen]
        own = dict(zip(moving, ordered, strict=True))
        return [{n: own[n] for n in optimizer.params if n in own} for optimizer in self._optimizers.values()]

    def _seen_arrays(self, grads: Sequence[Mapping[str, Any]]) -> Iterator[tuple[SameArrays, list[Any]]]:
        """For each group, whose arrays are of one library, what it remembers and the arrays of this step."""
        for seen, group, part in zip(self._seen, self._optimizers.values(), grads, strict=True):
            yield seen, [*group.params.values(), *group.momentum.values(), *part.values()]

    def _recognises(self, given: Sequence[Mapping[str, Any]]) -> bool:
        return all(seen.are(arrays) for seen, arrays in self._seen_arrays(given))

    def _checked(self, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The gradients as arrays of a known library, none of which overlaps what any group writes."""
        parts = [
            {name: checks.as_array(adopt(grad, f"grads[{name!r}]")) for name, grad in part.items()} for part in given
        ]
        labelled = {f"grads[{name!r}]": grad for part in parts for name, grad in part.items()}
        checks.check_disjoint(self._labelled(), labelled)
        return parts

    def _remember(self, given: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]) -> None:
        if all(one[name] is part[name] for one, part in zip(given, parts, strict=True) for name in one):
            for seen, arrays in self._seen_arrays(given):
                seen.remember(arrays)


def _check_groups(optimizers: Mapping[str, Any]) -> None:
    if not optimizers:
        raise ValueError("there is no group; name the optimizers: Groups(matrices=..., rest=...)")
    homes: dict[str, str] = {}
    for group, optimizer in optimizers.items():
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"group {group!r} must be an optimizer of signopt, got {type(optimizer).__name__}")
        if "/" in group or not group:
            raise ValueError(f"the name of a group is not empty and has no '/', got {group!r}")
        for name in optimizer.params:
            if name in homes:
                raise ValueError(
                    f"groups {homes[name]!r} and {group!r} both have a parameter named {name!r}; give the parameters "
                    "different names, as a mapping or as pairs"
                )
            homes[name] = group
    seeds = [optimizer.seed for optimizer in optimizers.values() if optimizer.rounding == "stochastic"]
    if len(set(seeds)) != len(seeds):
        raise ValueError(
            "two groups round stochastically with one seed, so that their parameters would share random words; give "
            "each group a seed of its own"
        )
