"""What the optimizers share: named parameters updated in place, with one momentum slot each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from signopt import _hyperparameters as hyperparameters
from signopt import _state as state_format
from signopt._namespace import Array
from signopt._signals import DeferredSignals
from signopt.backends import Backend
from signopt.optimizer._binding import Binding, check_params
from signopt.optimizer._hyperparameter import Hyperparameter, no_such_attribute
from signopt.optimizer._params import Arrays, Params, named, zeros_for
from signopt.optimizer._turns import Turn, one_at_a_time
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
        check_params(self._params, self.rule)
        self._roles = assign_roles(roles, list(self._params)) if self.has_roles else {}
        self._momentum = {name: zeros_for(param, momentum_dtype, name) for name, param in self._params.items()}
        self._steps = 0
        self._bind(backend)

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

    @one_at_a_time
    def step(self, grads: Arrays, *, frozen: Collection[str] = ()) -> None:
        """Update every parameter in place with its gradient, or raise and update none.

        Parameters
        ----------
        grads : mapping or sequence
            {name: array} with exactly the parameters' names, or one array per parameter in their order. Gradients are
            read only.
        frozen : collection of str, default ()
            Names of parameters that this step leaves as they are, and their momenta too: no decay, no average. Their
            gradients may be left out of a mapping, or be None. A gradient of zeros is another thing: with it momentum
            and decay go on moving the parameter.

        Raises
        ------
        TypeError
            For a gradient that is None, no array, of another namespace or of another dtype than its parameter.
        ValueError
            For a missing or extra gradient, another shape or device, or one that overlaps an array to be written; and
            for a name in ``frozen`` that no parameter has.
        """
        write = self._prepare_step(grads, frozen)
        with DeferredSignals():
            write()

    def _prepare_step(self, grads: Arrays, frozen: Collection[str] = ()) -> Callable[[], None]:
        """All of :meth:`step` that can fail. What is returned writes, and cannot."""
        binding = self._binding.without(frozen) if frozen else self._binding
        return self._counted(binding.prepare(binding.ordered(grads), self._coefficients()))

    def _counted(self, update: Callable[[], None]) -> Callable[[], None]:
        """``update``, and then the step counted."""

        def write() -> None:
            update()
            self._steps += 1

        return write

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: format version, rule, hyperparameters, number of steps, and a copy of every momentum.

        Parameters are not in it. A schedule of points and a :class:`~signopt.schedules.Cosine` are in it by value; any
        other callable is recorded as ``"callable"`` only.
        """
        with self._turn.lock:
            return {
                "version": state_format.VERSION,
                "rule": self.rule,
                "step": self._steps,
                "hyper": state_format.plain_hyper(self._hyper),
                "roles": dict(self._roles),
                "momentum": {name: state_format.copied(momentum) for name, momentum in self._momentum.items()},
            }

    @one_at_a_time
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over hyperparameters, number of steps and momenta from :meth:`state_dict`, or raise and change nothing.

        Raises
        ------
        ValueError, TypeError
            For a state of another rule, version, set of names, roles, shape or dtype, or with an invalid value; and
            for a state saved with a callable schedule if this optimizer has none.
        """
        write = self._prepare_load(state)
        with DeferredSignals():
            write()

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

    def _bind(self, backend: str) -> None:
        self._wanted_backend = backend
        self._turn = Turn()
        self._binding = Binding(self.rule, self._params, self._momentum, list(self._roles.values()), backend)

    @property
    def _backend(self) -> Backend:
        return self._binding.backend

    def __getstate__(self) -> dict[str, Any]:
        """What :func:`copy.deepcopy` and :mod:`pickle` make an independent optimizer of, over copies of the arrays."""
        with self._turn.lock:
            return {
                "params": dict(self._params),
                "momentum": dict(self._momentum),
                "hyper": {name: _plain(value) for name, value in self._hyper.items()},
                "roles": dict(self._roles),
                "steps": self._steps,
                "backend": self._wanted_backend,
            }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._hyper = self._checked_hyper(state["hyper"])
        self._params, self._momentum = state["params"], state["momentum"]
        self._roles, self._steps = state["roles"], state["steps"]
        self._bind(state["backend"])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
