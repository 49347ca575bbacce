"""What the optimizers share: named parameters updated in place, with one momentum slot each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from signopt import _hyperparameters as hyperparameters
from signopt import _state as state_format
from signopt._namespace import Array
from signopt._signals import DeferredSignals
from signopt.backends import Backend
from signopt.backends._stored import Stored
from signopt.optimizer._binding import Binding, check_params
from signopt.optimizer._hyperparameter import Hyperparameter, no_such_attribute
from signopt.optimizer._params import Arrays, Params, counted, named, zeros_for
from signopt.optimizer._rounding import (
    checked_rounding,
    frozen_elements,
    rests_for,
    storage_of,
    warn_about_frozen,
)
from signopt.optimizer._turns import Turn, one_at_a_time
from signopt.roles import assign_roles
from signopt.rules.coefficients import Coefficients, Draw
from signopt.schedules import factor_at

__all__ = ["Optimizer"]


class Optimizer(ABC):
    """What the optimizers share: names, checks, state, and a step that happens on all parameters or on none."""

    rule: ClassVar[str]
    """The rule's name, which is also that of the pure function."""

    has_roles: ClassVar[bool] = False
    """Whether the rule treats parameters by their role."""

    _steady: tuple[Mapping[str, Any], Coefficients] | None = None

    lr = Hyperparameter(hyperparameters.learning_rate, "Learning rate, finite, zero or positive.")
    weight_decay = Hyperparameter(hyperparameters.weight_decay, "Decoupled decay, finite, zero or positive.")
    schedule = Hyperparameter(hyperparameters.schedule, "None, {step: factor}, or a function of the step.")
    seed = Hyperparameter(hyperparameters.seed, "Of stochastic rounding; a model has one, and resumes with it.")

    def __init__(
        self,
        params: Params,
        hyper: Mapping[str, Any],
        *,
        backend: str,
        momentum_dtype: Any,
        rounding: str,
        seed: int,
        roles: Mapping[str, str] | Sequence[str] | None = None,
    ) -> None:
        self._hyper = self._checked_hyper({**hyper, "seed": seed})
        self._params = named(params)
        check_params(self._params, self.rule)
        self._rounding = checked_rounding(rounding, self._params)
        self._rests = rests_for(rounding, self._params)
        self._roles = assign_roles(roles, list(self._params)) if self.has_roles else {}
        self._momentum = {name: zeros_for(param, momentum_dtype, name) for name, param in self._params.items()}
        self._steps = 0
        self._bind(backend)
        if rounding == "nearest":
            warn_about_frozen(self._params, self._roles, self._unscheduled(), self.lr)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name.startswith("_") or hasattr(type(self), name)):
            raise no_such_attribute(name, type(self).__name__, self._hyper)
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        hyper = ", ".join(f"{name}={state_format.plain(value)!r}" for name, value in self._hyper.items())
        elements = sum(math.prod(param.shape) for param in self._params.values())
        sizes = f"{counted(len(self._params), 'tensor')}, {counted(elements, 'parameter')}"
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
    def rounding(self) -> str:
        """How new values of 16-bit parameters are rounded: "nearest", "stochastic" or "split"."""
        return self._rounding

    @property
    def rests(self) -> Mapping[str, Array]:
        """The live low halves of split parameters, by name: ``signopt.rounding.join(param, rest)`` is the master."""
        return MappingProxyType(self._rests)

    def frozen(self, name: str | None = None) -> float:
        """The share of elements, of all parameters or of one, that the next step that moves parameters cannot move.

        Whatever the gradient, they keep their value: the step is smaller than half the spacing of their dtype at that
        value (``rounding="nearest"``), or than that of the compute dtype (in the other modes), or it is 0.
        """
        if name is not None and name not in self._params:
            raise KeyError(f"there is no parameter {name!r}")
        storage = storage_of(self._rounding, self._params, self._rests)
        coefficients = self._moving(self._coefficients(), self._rate())
        frozen = elements = 0
        for index, (other, param) in enumerate(self._params.items()):
            if name in (None, other) and (size := math.prod(param.shape)):
                elements += size
                frozen += frozen_elements(Stored(param, index, storage), coefficients, self._roles.get(other))
        return frozen / elements if elements else 0.0

    def _unscheduled(self) -> Coefficients:
        """The numbers of a step that moves parameters by ``lr``, whatever a schedule makes of it."""
        hyper = self._hyper
        self._hyper = {**hyper, "schedule": None}
        try:
            return self._moving(self._coefficients(), self.lr)
        finally:
            self._hyper = hyper

    @staticmethod
    def _moving(coefficients: Any, rate: float) -> Coefficients:
        """``coefficients`` with another learning rate, in a step that moves parameters."""
        moving = {"moves": True} if hasattr(coefficients, "moves") else {}
        moved: Coefficients = replace(coefficients, lr=rate, **moving)
        return moved

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
        return self._counted(binding.prepare(binding.ordered(grads), self._drawn(self._current())))

    def _current(self) -> Coefficients:
        """The numbers of this step: the same object as before if nothing that they follow from has changed."""
        if self._steady is not None and self._steady[0] is self._hyper:
            return self._steady[1]
        coefficients = self._coefficients()
        self._steady = (self._hyper, coefficients) if self._is_steady() else None
        return coefficients

    def _is_steady(self) -> bool:
        """Whether every step has the same numbers, until a hyperparameter is set."""
        return self._hyper["schedule"] is None

    def _drawn(self, coefficients: Coefficients) -> Coefficients:
        """``coefficients`` with the key of this step's random words, if there are any."""
        if self._rounding != "stochastic":
            return coefficients
        return replace(coefficients, draw=Draw(self.seed, self._steps))

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
                **({"rests": {n: state_format.copied(rest) for n, rest in self._rests.items()}} if self._rests else {}),
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
        rests = state_format.checked_rests(state.get("rests", {}), self._rests)
        live = state_format.labelled(self._momentum, self._rests)
        saved = state_format.apart(
            state_format.labelled({name: state["momentum"][name] for name in self._momentum}, rests), live
        )

        def write() -> None:
            self._hyper, self._steps = hyper, steps
            for name, array in live.items():
                array[...] = saved[name]

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
        storage = storage_of(self._rounding, self._params, self._rests)
        self._binding = Binding(self.rule, self._params, self._momentum, list(self._roles.values()), backend, storage)

    @property
    def _backend(self) -> Backend:
        return self._binding.backend

    def __getstate__(self) -> dict[str, Any]:
        """What :func:`copy.deepcopy` and :mod:`pickle` make an independent optimizer of, over copies of the arrays."""
        with self._turn.lock:
            return {
                "params": dict(self._params),
                "momentum": dict(self._momentum),
                "rests": dict(self._rests),
                "rounding": self._rounding,
                "hyper": {name: state_format.plain(value) for name, value in self._hyper.items()},
                "roles": dict(self._roles),
                "steps": self._steps,
                "backend": self._wanted_backend,
            }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._hyper = self._checked_hyper(state["hyper"])
        self._params, self._momentum = state["params"], state["momentum"]
        self._roles, self._steps = state["roles"], state["steps"]
        self._rounding, self._rests = state["rounding"], state["rests"]
        self._bind(state["backend"])
