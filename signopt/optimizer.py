"""Optimizers: named parameters updated in place, with one momentum slot each."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from signopt import _checks as checks
from signopt import _hyperparameters as hyperparameters
from signopt import _state as state_format
from signopt._checks import check_disjoint, check_writable
from signopt._hyperparameters import Schedule
from signopt._identity import SameArrays
from signopt._namespace import Array, cast, dtype_name, namespace_of
from signopt._zero_rms import warn_about_zeros
from signopt.backends import Backend, adopt, select
from signopt.roles import assign_roles
from signopt.rules.coefficients import Coefficients
from signopt.rules.lion import LionCoefficients
from signopt.rules.signum import SignumCoefficients
from signopt.rules.tiger import TigerCoefficients

__all__ = ["Lion", "Optimizer", "Signum", "Tiger"]

Value = TypeVar("Value")
Arrays = Mapping[str, Array] | Sequence[Array]


class Hyperparameter(Generic[Value]):
    """An attribute that may be set between steps and is checked whenever it is set."""

    def __init__(self, check: Callable[[Any, str], Value], doc: str) -> None:
        self._check = check
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Optimizer, owner: type) -> Value: ...
    def __get__(self, instance: Optimizer | None, owner: type) -> Value | Self:
        return self if instance is None else instance._hyper[self._name]

    def __set__(self, instance: Optimizer, value: Any) -> None:
        instance._hyper[self._name] = self._check(value, self._name)


class Optimizer(ABC):
    """What Lion, Signum and Tiger share: names, checks, state, and a step that happens on all parameters or on none."""

    rule: ClassVar[str]
    """The rule's name, which is also that of the pure function."""

    has_roles: ClassVar[bool] = False
    """Whether the rule treats parameters by their role."""

    lr = Hyperparameter(hyperparameters.learning_rate, "Learning rate, finite, zero or positive.")
    weight_decay = Hyperparameter(hyperparameters.weight_decay, "Decoupled decay, finite, zero or positive.")

    def __init__(
        self,
        params: Arrays,
        hyper: Mapping[str, Any],
        *,
        backend: str,
        momentum_dtype: Any,
        roles: Mapping[str, str] | Sequence[str] | None = None,
    ) -> None:
        self._hyper: dict[str, Any] = {}
        self._set_hyper(hyper)
        self._params = _named(params)
        self._check_params()
        self._roles = assign_roles(roles, list(self._params)) if self.has_roles else {}
        self._momentum = {name: _zeros(param, momentum_dtype, name) for name, param in self._params.items()}
        self._steps = 0
        self._checked = SameArrays()
        self._backend = self._bind(backend)

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

        Parameters are not in it. A callable schedule is recorded as ``"callable"`` only.
        """
        return {
            "version": state_format.VERSION,
            "rule": self.rule,
            "step": self._steps,
            "hyper": state_format.plain_hyper(self._hyper),
            "roles": dict(self._roles),
            "momentum": {name: _copy(momentum) for name, momentum in self._momentum.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over hyperparameters, number of steps and momenta from :meth:`state_dict`, or raise and change nothing.

        Raises
        ------
        ValueError, TypeError
            For a state of another rule, version, set of names, roles, shape or dtype, or with an invalid value; and
            for a state saved with a callable schedule where this optimizer has none.
        """
        state_format.check(state, rule=self.rule, names=self._momentum, roles=self._roles)
        for name, momentum in self._momentum.items():
            state_format.check_momentum(state["momentum"][name], momentum, name)
        hyper = state_format.revived_hyper(state["hyper"], self._hyper)
        steps = hyperparameters.micro_step(state["step"], "state['step']")
        self._set_hyper(hyper)
        self._steps = steps
        for name, momentum in self._momentum.items():
            momentum[...] = state["momentum"][name]

    @abstractmethod
    def _coefficients(self) -> Coefficients:
        """The numbers of the next step."""

    def _set_hyper(self, hyper: Mapping[str, Any]) -> None:
        before = dict(self._hyper)
        try:
            for name, value in hyper.items():
                setattr(self, name, value)
        except (TypeError, ValueError):
            self._hyper = before
            raise

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


class Lion(Optimizer):
    """Lion on named parameters, in place. The rule and its arguments are those of :func:`signopt.lion`.

    Parameters
    ----------
    params : mapping or sequence of array
        {name: array}, or arrays that get the names "0", "1", ... Writable arrays of one library and device; dtypes may
        differ. They are kept and updated in place.
    lr, betas, weight_decay
        Checked whenever they are set; they may change between steps.
    backend : str, default "auto"
        Which implementation applies the rule; all give the same bits. "portable" is the rule itself.
    momentum_dtype : str or dtype, optional
        Storage dtype of the momentum; that of each parameter by default. Not wider than the compute dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> weights = {"w": np.ones(3)}
    >>> opt = signopt.Lion(weights, lr=0.25)
    >>> opt.step({"w": np.array([1.0, -1.0, 0.0])})
    >>> weights["w"]
    array([0.75, 1.25, 1.  ])
    """

    rule = "lion"
    betas = Hyperparameter(hyperparameters.betas, "(β1, β2), each in [0, 1).")

    def __init__(
        self,
        params: Arrays,
        *,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        backend: str = "auto",
        momentum_dtype: Any = None,
    ) -> None:
        hyper = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, hyper, backend=backend, momentum_dtype=momentum_dtype)

    def _coefficients(self) -> Coefficients:
        return LionCoefficients.of(**self._hyper)


class Signum(Optimizer):
    """Signum on named parameters, in place. The rule and its arguments are those of :func:`signopt.signum`.

    Parameters are those of :class:`Lion`, with one ``beta`` in place of ``betas``; 0 gives signSGD.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> weights = [np.ones(2)]
    >>> signopt.Signum(weights, lr=0.5, beta=0.0).step([np.array([3.0, -3.0])])
    >>> weights[0]
    array([0.5, 1.5])
    """

    rule = "signum"
    beta = Hyperparameter(hyperparameters.one_beta, "β in [0, 1).")

    def __init__(
        self,
        params: Arrays,
        *,
        lr: float = 1e-4,
        beta: float = 0.9,
        weight_decay: float = 0.0,
        backend: str = "auto",
        momentum_dtype: Any = None,
    ) -> None:
        hyper = {"lr": lr, "beta": beta, "weight_decay": weight_decay}
        super().__init__(params, hyper, backend=backend, momentum_dtype=momentum_dtype)

    def _coefficients(self) -> Coefficients:
        return SignumCoefficients.of(**self._hyper)


class Tiger(Optimizer):
    """Tiger on named parameters, in place. The rule and its arguments are those of :func:`signopt.tiger`.

    Parameters are those of :class:`Lion`, with ``beta`` in place of ``betas``, and

    Parameters
    ----------
    accumulation_steps : int, default 1
        Micro-steps in a window. Call :meth:`step` at every micro-step; parameters move at the last one of a window.
    shrink : float, default 0.99
        s of the NaN rule.
    schedule : mapping or callable, optional
        {micro-step: factor} or a function of the micro-step.
    roles : mapping or sequence, optional
        {name: role} or one role per parameter. What is not given is read from the names, as the source does
        (:func:`signopt.roles.role_of`): give roles where parameters have no telling names.

    Warns
    -----
    UserWarning
        Once, at construction, where a matrix or a row of an embedding is all zero: its RMS is 0, so it never moves.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> weights = {"dense/kernel": np.full(2, 4.0), "dense/bias": np.zeros(2)}
    >>> opt = signopt.Tiger(weights, lr=0.25, weight_decay=0.0)
    >>> opt.step({"dense/kernel": np.ones(2), "dense/bias": np.ones(2)})
    >>> weights["dense/kernel"], weights["dense/bias"]
    (array([3., 3.]), array([-0.125, -0.125]))
    """

    rule = "tiger"
    has_roles = True
    beta = Hyperparameter(hyperparameters.one_beta, "β in [0, 1).")
    accumulation_steps = Hyperparameter(hyperparameters.accumulation_steps, "Micro-steps in a window, 1 or more.")
    shrink = Hyperparameter(hyperparameters.shrink, "Factor of the NaN rule, in [0, 1].")
    schedule = Hyperparameter(hyperparameters.schedule, "None, {micro-step: factor}, or a function of the micro-step.")

    def __init__(
        self,
        params: Arrays,
        *,
        lr: float = 1e-3,
        beta: float = 0.965,
        weight_decay: float = 0.01,
        accumulation_steps: int = 1,
        shrink: float = 0.99,
        schedule: Schedule = None,
        roles: Mapping[str, str] | Sequence[str] | None = None,
        backend: str = "auto",
        momentum_dtype: Any = None,
    ) -> None:
        hyper = {
            "lr": lr,
            "beta": beta,
            "weight_decay": weight_decay,
            "accumulation_steps": accumulation_steps,
            "shrink": shrink,
            "schedule": schedule,
        }
        super().__init__(params, hyper, backend=backend, momentum_dtype=momentum_dtype, roles=roles)
        warn_about_zeros(self._params, self._roles)

    @property
    def roles(self) -> Mapping[str, str]:
        """The role of each parameter, by name."""
        return MappingProxyType(self._roles)

    def _coefficients(self) -> Coefficients:
        return TigerCoefficients.of(step=self._steps, **self._hyper)


def _named(params: Arrays) -> dict[str, Array]:
    if isinstance(params, Mapping):
        named = dict(params)
    elif isinstance(params, (list, tuple)):
        named = {str(index): param for index, param in enumerate(params)}
    else:
        raise TypeError(
            f"params must be a mapping {{name: array}} or a sequence of arrays, got {type(params).__name__}"
        )
    if not named:
        raise ValueError("params is empty: there is nothing to optimize")
    for name in named:
        if not isinstance(name, str):
            raise TypeError(f"the names of parameters must be strings, got {name!r}")
    return {name: adopt(param, f"params[{name!r}]", written=True) for name, param in named.items()}


def _zeros(param: Array, momentum_dtype: Any, name: str) -> Array:
    xp = namespace_of(param)
    zeros = xp.zeros_like(param)
    if momentum_dtype is None:
        return zeros
    wanted = getattr(xp, momentum_dtype, momentum_dtype) if isinstance(momentum_dtype, str) else momentum_dtype
    zeros = cast(xp, zeros, wanted)
    checks.check_dtype(zeros, f"the momentum of params[{name!r}]")
    checks.check_momentum_dtype(dtype_name(param), dtype_name(zeros), f"params[{name!r}]")
    return zeros


def _copy(array: Array) -> Array:
    return namespace_of(array).asarray(array, copy=True)
