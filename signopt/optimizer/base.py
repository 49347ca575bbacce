"""What the optimizers share: named parameters updated in place, with one momentum slot each."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from signopt import _checks as checks
from signopt import _hyperparameters as hyperparameters
from signopt import _state as state_format
from signopt._checks import check_disjoint, check_writable
from signopt._identity import SameArrays
from signopt._namespace import Array, dtype_name
from signopt.backends import Backend, adopt, select
from signopt.optimizer._hyperparameter import Hyperparameter, no_such_attribute
from signopt.optimizer._params import Arrays, Params, named, zeros_for
from signopt.roles import assign_roles
from signopt.rules.coefficients import Coefficients
from signopt.schedules import factor_at

__all__ = ["Optimizer"]


class Optimizer(ABC):
    """What Lion, Signum and Tiger share: names, checks, state, and a step that happens on all parameters or on none."""

    rule: ClassVar[str]
    """The rule's name, which is also that of the pure function."""

    has_roles: ClassVar[bool] = False
    """Whether the rule treats parameters by their role."""

    lr = Hyperparameter(hyperparameters.learning_rate, "Learning rate, finite, zero or positive.")
    weight_decay = Hyperparameter(hyperparameters.weight_decay, "Decoupled decay, finite, zero or positive.")
    schedule = Hyperparameter(hyperparameters.schedule, "None, {step: factor}, or a function of the step.")

    def __init__(
        self,
        params: Params,
        hyper: Mapping[str, Any],
        *,
        backend: str,
        momentum_dtype: Any,
        roles: Mapping[str, str] | Sequence[str] | None = None,
    ) -> None:
        self._hyper = self._checked_hyper(hyper)
        self._params = named(params)
        self._check_params()
        self._roles = assign_roles(roles, list(self._params)) if self.has_roles else {}
        self._momentum = {name: zeros_for(param, momentum_dtype, name) for name, param in self._params.items()}
        self._steps = 0
        self._checked = SameArrays()
        self._backend = self._bind(backend)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name.startswith("_") or hasattr(type(self), name)):
            raise no_such_attribute(name, type(self).__name__, self._hyper)
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        hyper = ", ".join(f"{name}={_plain(value)!r}" for name, value in self._hyper.items())
        elements = sum(math.prod(param.shape) for param in self._params.values())
        sizes = f"{_count(len(self._params), 'tensor')}, {_count(elements, 'parameter')}"
        return f"{type(self).__name__}({hyper}) of {sizes}, backend {self.backend!r}"

    @property
    def params(self) -> Mapping[str, Array]:
        """The arrays that were given, updated in place, by name."""
        return MappingProxyType(self._params)

    @property
    def momentum(self) -> Mapping[str, Array]:
        """The live momentum of each parameter, by name."""
        return MappingProxyType(self._momentum)

    @property
    def backend(self) -> str:
        """The name of the backend that applies the rule."""
        return self._backend.name

    @property
    def step_count(self) -> int:
        """How many steps (for Tiger: micro-steps) have been taken."""
        return self._steps

    def step(self, grads: Arrays) -> None:
        """Update every parameter in place with its gradient, or raise and update none.

        Parameters
        ----------
        grads : mapping or sequence
            {name: array} with exactly the parameters' names, or one array per parameter in their order. Gradients are
            read only.

        Raises
        ------
        TypeError
            For a gradient that is None, no array, of another namespace or of another dtype than its parameter.
        ValueError
            For a missing or extra gradient, another shape or device, or one that overlaps an array to be written.
        """
        ordered = self._ordered(grads)
        if not (self._checked.are(ordered) or self._backend.recognises(ordered)):
            ordered = self._check_grads(ordered)
        self._backend.step(ordered, self._coefficients())
        self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: format version, rule, hyperparameters, number of steps, and a copy of every momentum.

        Parameters are not in it. A schedule of points and a :class:`~signopt.schedules.Cosine` are in it by value; any
        other callable is recorded as ``"callable"`` only.
        """
        return {
            "version": state_format.VERSION,
            "rule": self.rule,
            "step": self._steps,
            "hyper": state_format.plain_hyper(self._hyper),
            "roles": dict(self._roles),
            "momentum": {name: state_format.copied(momentum) for name, momentum in self._momentum.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over hyperparameters, number of steps and momenta from :meth:`state_dict`, or raise and change nothing.

        Raises
        ------
        ValueError, TypeError
            For a state of another rule, version, set of names, roles, shape or dtype, or with an invalid value; and
            for a state saved with a callable schedule if this optimizer has none.
        """
        self._prepare_load(state)()

    def _prepare_load(self, state: Mapping[str, Any]) -> Callable[[], None]:
        """All of :meth:`load_state_dict` that can fail. What is returned writes the state, and cannot."""
        state_format.check(state, rule=self.rule, names=self._momentum, roles=self._roles)
        for name, momentum in self._momentum.items():
            state_format.check_momentum(state["momentum"][name], momentum, name)
        hyper = self._checked_hyper(state_format.revived_hyper(state["hyper"], self._hyper))
        steps = hyperparameters.micro_step(state["step"], "state['step']")
        saved = state_format.apart({name: state["momentum"][name] for name in self._momentum}, self._momentum)

        def write() -> None:
            self._hyper, self._steps = hyper, steps
            for name, momentum in self._momentum.items():
                momentum[...] = saved[name]

        return write

    def _rate(self) -> float:
        """The learning rate of the next step: lr times the schedule's factor."""
        factor = factor_at(self._hyper["schedule"], self._steps)
        return hyperparameters.learning_rate(self._hyper["lr"] * factor, "lr times the schedule's factor")

    @abstractmethod
    def _coefficients(self) -> Coefficients:
        """The numbers of the next step."""

    def _checked_hyper(self, hyper: Mapping[str, Any]) -> dict[str, Any]:
        return {name: getattr(type(self), name).checked(value) for name, value in hyper.items()}

    def _bind(self, backend: str) -> Backend:
        params = list(self._params.values())
        return select(backend, params)(params, list(self._momentum.values()), list(self._roles.values()))

    def _check_params(self) -> None:
        first_name, first = next(iter(self._params.items()))
        for name, param in self._params.items():
            label = f"params[{name!r}]"
            checks.check_dtype(param, label)
            check_writable(param, label, f"signopt.{self.rule}")
            checks.check_same_home(param, first, label, f"params[{first_name!r}]")
        check_disjoint({f"params[{name!r}]": param for name, param in self._params.items()}, {})

    def _ordered(self, grads: Arrays) -> list[Any]:
        if not isinstance(grads, Mapping):
            if not isinstance(grads, (list, tuple)):
                raise TypeError(f"grads must be a mapping {{name: array}} or a sequence of arrays, got {type(grads)}")
            if len(grads) != len(self._params):
                raise ValueError(f"grads has {len(grads)} arrays for {len(self._params)} parameters")
            return list(grads)
        if grads.keys() != self._params.keys():
            raise ValueError(state_format.name_difference("grads", grads, self._params))
        return [grads[name] for name in self._params]

    def _check_grads(self, given: list[Any]) -> list[Array]:
        """The gradients as arrays of a known library, checked; remembered where nothing had to be converted."""
        if all(map(checks.are_twins, self._params.values(), given)):
            grads = given
        else:
            grads = [
                checks.as_array(adopt(grad, f"grads[{name!r}]")) for name, grad in zip(self._params, given, strict=True)
            ]
            self._check_partners(grads)
        self._check_memory(grads)
        if all(map(operator.is_, grads, given)):
            self._checked.remember(grads)
        return grads

    def _check_partners(self, grads: list[Array]) -> None:
        for (name, param), grad in zip(self._params.items(), grads, strict=True):
            label = f"params[{name!r}]"
            checks.check_partner(param, grad, label, "gradient")
            checks.check_gradient_dtype(dtype_name(param), dtype_name(grad), label)

    def _check_memory(self, grads: list[Array]) -> None:
        check_disjoint(
            {f"params[{name!r}]": param for name, param in self._params.items()}
            | {f"momentum[{name!r}]": momentum for name, momentum in self._momentum.items()},
            {f"grads[{name!r}]": grad for name, grad in zip(self._params, grads, strict=True)},
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
