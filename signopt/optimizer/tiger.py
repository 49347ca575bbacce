"""The optimizer Tiger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt._namespace import Array
from signopt._signals import DeferredSignals
from signopt._zero_rms import warn_about_zeros
from signopt.optimizer._hyperparameter import Hyperparameter
from signopt.optimizer._params import Arrays, Params
from signopt.optimizer._turns import one_at_a_time
from signopt.optimizer.base import Optimizer
from signopt.roles import traits_of
from signopt.rules.coefficients import Coefficients
from signopt.rules.facts import checked_facts
from signopt.rules.tiger import TigerCoefficients

__all__ = ["Tiger"]


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
        As for :class:`Lion`, of the micro-step.
    roles : mapping or sequence, optional
        {name: role} or one role per parameter. What is not given is read from the names, as the source does
        (:func:`signopt.roles.role_of`): give roles if the names of the parameters do not say them.

    Warns
    -----
    UserWarning
        Once, at construction, if a matrix or a row of an embedding is all zero: its RMS is 0, so it never moves.

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

    def __init__(
        self,
        params: Params,
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
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        hyper = {
            "lr": lr,
            "beta": beta,
            "weight_decay": weight_decay,
            "accumulation_steps": accumulation_steps,
            "shrink": shrink,
            "schedule": schedule,
        }
        super().__init__(
            params, hyper, backend=backend, momentum_dtype=momentum_dtype, rounding=rounding, seed=seed, roles=roles
        )
        warn_about_zeros(self._params, self._roles)

    @one_at_a_time
    def step(self, grads: Arrays, *, frozen: Collection[str] = (), facts: Mapping[str, Array] | None = None) -> None:
        """As :meth:`Lion.step`; with ``facts``, parameters that are shards move as parts of their tensors.

        Parameters
        ----------
        grads, frozen
            As for :meth:`Lion.step`.
        facts : mapping, optional
            {name: the sum of :func:`signopt.tiger_facts` over all shards} of the parameters that are shards; the others
            are whole.

        Examples
        --------
        On each rank of an MPI program that holds some rows of every matrix::

            facts = {name: comm.allreduce(signopt.tiger_facts(p, grads[name])) for name, p in opt.params.items()}
            opt.step(grads, facts=facts)
        """
        write = self._prepare_step(grads, frozen) if facts is None else self._prepare_shards(grads, frozen, facts)
        with DeferredSignals():
            write()

    def _prepare_shards(self, grads: Arrays, frozen: Collection[str], facts: Mapping[str, Array]) -> Callable[[], None]:
        if not isinstance(facts, Mapping):
            raise TypeError(f"facts must be a mapping {{name: facts}}, got {type(facts).__name__}")
        if strangers := sorted(set(facts) - set(self._params)):
            raise ValueError(f"facts names no such parameter: {', '.join(map(repr, strangers))}")
        facts = {
            name: checked_facts(self._params[name], its, traits_of(self._roles[name]), f"facts[{name!r}]")
            for name, its in facts.items()
        }
        binding = self._binding.without(frozen) if frozen else self._binding
        return self._counted(binding.prepare_shards(binding.ordered(grads), self._coefficients(), facts))

    @property
    def roles(self) -> Mapping[str, str]:
        """The role of each parameter, by name."""
        return MappingProxyType(self._roles)

    def _is_steady(self) -> bool:
        return super()._is_steady() and self.accumulation_steps == 1

    def _coefficients(self) -> Coefficients:
        hyper = {name: value for name, value in self._hyper.items() if name != "seed"}
        return TigerCoefficients.of(step=self._steps, **hyper)
