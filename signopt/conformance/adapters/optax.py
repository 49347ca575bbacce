"""Ports made of optax gradient transformations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

from signopt.conformance.errors import TargetError
from signopt.conformance.port import Arrays

__all__ = ["OptaxPort"]


class OptaxPort:
    """A gradient transformation as a port: ``update`` and then ``optax.apply_updates``.

    Parameters
    ----------
    name, rule
        What the port is called and which rule it implements.
    transform
        ``transform(hyper)`` returns the ``optax.GradientTransformation``.
    momentum
        The field of the optimizer state that holds the momentum, ``"mu"`` in ``ScaleByLionState``; None if there is
        none. It may lie below other transformations (``inject_hyperparams``, ``MultiSteps``, ``masked``), or in several
        places that share the parameters (``multi_transform``).
    jit
        Compile the update, as training loops do. XLA may then contract and reorder what it fuses.
    op_by_op
        Run without any compilation beyond that of single operations: loops and functions that the transformation itself
        compiles would be compiled anew for every shape and every set of hyperparameters, which is most of the time that
        the many small matrices of Muon's checks take.
    declarations
        Everything else that ``describe`` returns: ``version``, ``dtypes``, ``decay``, ``form``, ``nan``, …

    Notes
    -----
    JAX has float64 only inside ``enable_x64``. It is entered for every call on a model with a float64 parameter and
    left again: the process of the caller keeps its own setting, and a float32 model runs as JAX users run it, without.
    """

    def __init__(
        self,
        name: str,
        rule: str,
        transform: Callable[[Mapping[str, Any]], Any],
        momentum: str | None = "mu",
        jit: bool = False,
        op_by_op: bool = False,
        **declarations: Any,
    ) -> None:
        self._description = {"name": name, "rule": rule, **declarations}
        self._transform, self._key, self._jit = transform, momentum, jit
        self._op_by_op = op_by_op
        self._made: dict[str, tuple[Any, Callable[..., Any]]] = {}

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Initialise the state over ``params`` and write ``momentum`` into it.

        Raises
        ------
        NotImplementedError
            For a momentum if the state has no such field, or not for every parameter.
        """
        import jax.numpy as jnp

        self._wide = any(param.dtype == np.float64 for param in params.values())
        with self._precision():
            self.configure(hyper)
            self._params = {name: jnp.array(param) for name, param in params.items()}
            self._state = self._transformation.init(self._params)
            if momentum is not None:
                self._set_momentum({name: jnp.array(m) for name, m in momentum.items()})

    def _precision(self) -> AbstractContextManager[Any]:
        import jax

        stack = ExitStack()
        if self._wide:
            stack.enter_context(jax.enable_x64(True))
        if self._op_by_op:
            stack.enter_context(jax.disable_jit())
        return stack

    def _set_momentum(self, momentum: Mapping[str, Any]) -> None:
        import jax

        found = set()

        def start(path: Any, leaf: Any) -> Any:
            if (name := self._parameter_at(path)) is None:
                return leaf
            found.add(name)
            return momentum[name]

        state = jax.tree_util.tree_map_with_path(start, self._state)
        if found != momentum.keys():
            raise NotImplementedError(f"the state has no {self._key!r} for {sorted(momentum.keys() - found)[:5]}")
        self._state = state

    def _parameter_at(self, path: tuple[Any, ...]) -> str | None:
        """The parameter whose momentum lies at a path of the state: below the momentum's field, under its own name."""
        if self._key is None or len(path) < 2 or _name(path[-2]) != self._key or _name(path[-1]) not in self._params:
            return None
        return _name(path[-1])

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Replace the transformation and keep the state: optax closes over its hyperparameters."""
        key = repr(sorted(hyper.items()))
        if key not in self._made:
            self._made[key] = self._make(hyper)
        self._transformation, self._update = self._made[key]

    def _make(self, hyper: Mapping[str, Any]) -> tuple[Any, Callable[..., Any]]:
        import jax
        import optax

        transformation = self._transform(hyper)

        def advance(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
            updates, state = transformation.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        return transformation, jax.jit(advance) if self._jit else advance

    def step(self, grads: Arrays) -> None:
        """Apply one update."""
        import jax.numpy as jnp

        with self._precision():
            arrays = {name: jnp.array(grads[name]) for name in self._params}
            self._params, self._state = self._update(arrays, self._state, self._params)

    def params(self) -> Arrays:
        """Return the parameters."""
        return {name: np.asarray(param) for name, param in self._params.items()}

    def momentum(self) -> Arrays | None:
        """Return the momentum found in the state, or None if the transformation keeps none for some parameter."""
        import jax

        leaves = jax.tree_util.tree_leaves_with_path(self._state)
        found = {name: np.asarray(m) for path, m in leaves if (name := self._parameter_at(path)) is not None}
        if self._key is not None and not found:
            self._check_field([path for path, _ in leaves])
        return found if found.keys() == self._params.keys() else None

    def _check_field(self, paths: list[tuple[Any, ...]]) -> None:
        """A momentum in another field would be judged as one that is hidden, which sees less."""
        kept = {str(_name(path[-2])) for path in paths if len(path) > 1 and _name(path[-1]) in self._params}
        if kept:
            raise TargetError(
                f"the state has no field {self._key!r}, it has {', '.join(sorted(map(repr, kept)))}: give that of the "
                "momentum as momentum=, or None if there is none"
            )


def _name(key: Any) -> str | None:
    """What a step of a path is called: an attribute, or a key of a mapping."""
    return getattr(key, "name", getattr(key, "key", None))
