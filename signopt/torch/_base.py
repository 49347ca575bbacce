"""What the torch optimizers share: checks, state, and a step that happens on all parameters or on none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from signopt import _checks as checks
from signopt._namespace import dtype_name
from signopt.rules.coefficients import Coefficients
from signopt.torch._rows import Bindings, Row
from signopt.torch._state import checked_state

__all__ = ["Group", "SignOptimizer", "named"]

Group: TypeAlias = dict[str, Any]


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

    def _check_group(self, group: Group) -> None:
        self._coefficients(group, 0)
        for name, param in named(group):
            checks.check_dtype(param, name)
            dtype = str(group["momentum_dtype"] or param.dtype).rsplit(".", 1)[-1]
            checks.check_momentum_dtype(dtype_name(param), dtype, name)

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
        rows = [list(self._rows(group)) for group in self.param_groups]
        plan = [
            (its, self._coefficients(group, step))
            for group, all_rows in zip(self.param_groups, rows, strict=True)
            for step, its in self._by_step(all_rows)
        ]
        self._prepare(plan)()
        self._count([row.param for its in rows for row in its])

    def _prepare(self, plan: list[tuple[list[Row], Coefficients]]) -> Callable[[], None]:
        """All of a step that can fail. What is returned writes it, and cannot."""
        return self._bindings.prepare(plan)

    def _rows(self, group: Group) -> Iterator[Row]:
        for index, (name, param) in enumerate(named(group)):
            if (grad := param.grad) is None:
                continue
            if grad.layout is not torch.strided:
                raise TypeError(f"the gradient of {name} is sparse; make it dense, with sparse=False in its module")
            momentum = self._state_of(param, group)["momentum"]
            if not (_alike(param, grad) and momentum.shape == param.shape and momentum.device == param.device):
                checks.check_alike(param, grad, momentum, name)
            yield Row(param, grad, momentum, self._role(group, index))

    def _state_of(self, param: Tensor, group: Group) -> Group:
        """The state of ``param``; made anew if there is none, or if the model was moved before its first step."""
        state: Group = self.state[param]
        if "momentum" not in state or (state["momentum"].device != param.device and not state["momentum"].any()):
            dtype = group["momentum_dtype"] or param.dtype
            state["momentum"] = torch.zeros_like(param, dtype=dtype, requires_grad=False)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over groups and state from :meth:`state_dict`: copies of the momenta, in the dtypes they were saved in.

        Raises
        ------
        ValueError
            For the state of another optimizer, or of parameters of another shape; nothing is changed then.
        """
        params = [list(named(group)) for group in self.param_groups]
        momenta = checked_state(params, state_dict)
        super().load_state_dict(dict(state_dict))
        for param, momentum in momenta:
            self.state[param]["momentum"] = momentum.detach().to(device=param.device, copy=True)

    @abstractmethod
    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        """The numbers of the next step of a group."""

    def _by_step(self, rows: list[Row]) -> Iterable[tuple[Any, list[Row]]]:
        """The rows by the number of steps that their parameters have taken, if the rule asks for it."""
        return [(0, rows)] if rows else []

    def _count(self, params: list[Tensor]) -> None:
        """Note that these parameters have taken a step."""

    def _role(self, group: Group, index: int) -> str:
        return "matrix"


def named(group: Group) -> Iterator[tuple[str, Tensor]]:
    """The parameters of a group, with the names that errors call them by."""
    names = group.get("param_names")
    for index, param in enumerate(group["params"]):
        yield (repr(names[index]) if names else f"parameter {index} of its group"), param


def _alike(param: Tensor, grad: Tensor) -> bool:
    return grad.dtype == param.dtype and grad.shape == param.shape and grad.device == param.device
