"""What the torch optimizers share: checks, state, and a step that happens on all parameters or on none."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from signopt import _checks as checks
from signopt._hyperparameters import seed as checked_seed
from signopt._namespace import dtype_name
from signopt._signals import DeferredSignals
from signopt.rules.coefficients import Coefficients, Draw
from signopt.torch._frozen import frozen_of, warn_about_group
from signopt.torch._gathered import prepare_gathered
from signopt.torch._rows import Bindings, Plan, Row
from signopt.torch._state import Group, check_rounding, checked_state, fresh_slots, is_split, is_whole, name_of, named

__all__ = ["SignOptimizer"]


class SignOptimizer(torch.optim.Optimizer):
    """A rule of this library as a :class:`torch.optim.Optimizer`.

    Parameters
    ----------
    params : iterable
        Parameters, (name, parameter) pairs, or groups of either with hyperparameters of their own.
    defaults : dict
        The hyperparameters of groups that do not give them.
    """

    rule: ClassVar[str]
    counts_steps: ClassVar[bool] = False
    """Whether the rule asks for the number of steps that a parameter has taken."""

    def __init__(self, params: Any, defaults: Group) -> None:
        self._bindings = Bindings()
        super().__init__(params, defaults)

    def __setstate__(self, state: Group) -> None:
        super().__setstate__(state)
        self._bindings = Bindings()
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, with a momentum of zeros for each.

        Raises
        ------
        TypeError, ValueError
            For hyperparameters outside their range, and parameters that the rule cannot update. No group is added then.

        Warns
        -----
        UserWarning
            If rounding to nearest would undo the steps of most of its 16-bit elements.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._check_group(group)
        except (TypeError, ValueError):
            del self.param_groups[-1]
            raise
        for _, param in named(group):
            if param.requires_grad and not param.is_meta:
                self._state_of(param, group)
        roles = [self._role(group, index) for index in range(len(group["params"]))]
        warn_about_group(group, roles, self._coefficients(group, 0))

    def _check_group(self, group: Group) -> None:
        self._coefficients(group, 0)
        checked_seed(group["seed"])
        check_rounding(group)
        for name, param in named(group):
            checks.check_dtype(param, name)
            dtype = str(group["momentum_dtype"] or param.dtype).rsplit(".", 1)[-1]
            checks.check_momentum_dtype(dtype_name(param), dtype, name)

    @torch.no_grad()
    def frozen(self) -> float:
        """The share of elements that the next step cannot move, as :meth:`signopt.Lion.frozen` gives it.

        Only plain tensors are looked at: of a shard the whole is not known.
        """
        counts = []
        for group in self.param_groups:
            roles = [self._role(group, index) for index in range(len(group["params"]))]
            counts.append(frozen_of(group, roles, self._coefficients(group, 0), self.state))
        elements = sum(size for _, size in counts)
        return sum(frozen for frozen, _ in counts) / elements if elements else 0.0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, or raise and update none.

        Parameters
        ----------
        closure : callable, optional
            Called first, with gradients enabled; what it returns is returned.

        Raises
        ------
        TypeError, ValueError
            For a gradient that is sparse or of another dtype, shape or device than its parameter, or a hyperparameter
            that has been set to something outside its range.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update()
        return loss

    @torch._disable_dynamo  # type: ignore[attr-defined]  # it has compiled kernels of its own
    def _update(self) -> None:
        plan = self._plan()
        write = self._prepare(plan)
        counters = [row.counter for rows, _ in plan for row in rows if row.counter is not None]
        with DeferredSignals():
            write()
            for counter in counters:
                counter += 1

    def _plan(self) -> Plan:
        """The rows that are to be updated together, with the numbers of their step."""
        plan: Plan = []
        first = 0
        for group in self.param_groups:
            check_rounding(group)
            for step, rows in self._by_step(self._rows(group, first)).items():
                coefficients = self._coefficients(group, step)
                plan.append((rows, replace(coefficients, draw=Draw(checked_seed(group["seed"]), step))))
            first += len(group["params"])
        return plan

    def _prepare(self, plan: Plan) -> Callable[[], None]:
        """All of a step that can fail. What is returned writes it, and cannot."""
        here: Plan = []
        whole: Plan = []
        for rows, coefficients in plan:
            views = [self._here(row) for row in rows]
            here.append(([view for view in views if view is not None], coefficients))
            whole.append(([row for row, view in zip(rows, views, strict=True) if view is None], coefficients))
        write_whole, write_here = prepare_gathered(whole), self._bindings.prepare(here)
        written = [tensor for rows, _ in plan for row in rows for tensor in row.written]

        def write() -> None:
            write_whole()
            write_here()
            increment_version(written)  # the update has seen shards of DTensors, and tensors by their memory

        return write

    def _here(self, row: Row) -> Row | None:
        """The tensors on which this rank takes the step of ``row``; None if it needs whole tensors, gathered."""
        return row

    def _rows(self, group: Group, first: int) -> Iterator[Row]:
        rounding = group["rounding"]
        for index, param in enumerate(group["params"]):
            if (grad := param.grad) is None:
                continue
            if grad.layout is not torch.strided:
                name = name_of(group, index)
                raise TypeError(f"the gradient of {name} is sparse; make it dense, with sparse=False in its module")
            state = self._state_of(param, group)
            momentum = state["momentum"]
            if not (_alike(param, grad) and momentum.shape == param.shape and momentum.device == param.device):
                checks.check_alike(param, grad, momentum, name_of(group, index))
            role, rest, counter = self._role(group, index), state.get("rest"), state.get("step")
            yield Row(param, grad, momentum, role, rounding, first + index, rest, counter)

    def _state_of(self, param: Tensor, group: Group) -> Group:
        """The state of ``param``; made anew if there is none, or if the model was moved before its first step."""
        state: Group = self.state[param]
        if is_whole(state, param, group, counted=self._counts(group)):
            return state
        state |= fresh_slots(state, param, group, counted=self._counts(group))
        if not is_split(param, group):
            state.pop("rest", None)  # of a parameter that was split before, and has moved without it since
        return state

    def _counts(self, group: Group) -> bool:
        return self.counts_steps or group["rounding"] == "stochastic"

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over groups and state from :meth:`state_dict`: copies of the state, in the dtypes it was saved in.

        Raises
        ------
        TypeError, ValueError
            For the state of another optimizer, or of parameters of another shape or dtype; nothing is changed then.
        """
        params = [list(named(group)) for group in self.param_groups]
        slots = checked_state(params, state_dict)
        super().load_state_dict(dict(state_dict))
        for param, name, tensor in slots:
            self.state[param][name] = tensor

    @abstractmethod
    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        """The numbers of the next step of a group."""

    def _by_step(self, rows: Iterator[Row]) -> dict[int, list[Row]]:
        """The rows by the number of steps that their parameters have taken, if anything asks for it."""
        by_step: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            by_step[0 if row.counter is None else int(row.counter)].append(row)
        return by_step

    def _role(self, group: Group, index: int) -> str:
        return "matrix"


def _alike(param: Tensor, grad: Tensor) -> bool:
    return grad.dtype == param.dtype and grad.shape == param.shape and grad.device == param.device
