"""Ports made of optax gradient transformations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

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
        The field of the optimizer state that holds the momentum, ``"mu"`` in ``ScaleByLionState``; None where
        there is none.
    jit
        Compile the update, as training loops do. XLA may then contract and reorder what it fuses.
    declarations
        Everything else that ``describe`` returns: ``version``, ``dtypes``, ``decay``, ``form``, ``nan``, …

    JAX has float64 only inside ``enable_x64``, which is entered for every call and left again: the process of
    the caller keeps its own setting.
    """

    def __init__(
        self,
        name: str,
        rule: str,
        transform: Callable[[Mapping[str, Any]], Any],
        momentum: str | None = "mu",
        jit: bool = False,
        **declarations: Any,
    ) -> None:
        self._description = {"name": name, "rule": rule, **declarations}
        self._transform, self._key, self._jit = transform, momentum, jit
        self._made: dict[str, tuple[Any, Callable[..., Any]]] = {}

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Initialise the state over ``params`` and write ``momentum`` into it."""
        import jax
        import jax.numpy as jnp
        import optax

        with jax.enable_x64(True):
            self.configure(hyper)
            self._params = {name: jnp.array(param) for name, param in params.items()}
            self._state = self._transformation.init(self._params)
            if momentum is not None and self._key is not None:
                start = {name: jnp.array(m) for name, m in momentum.items()}
                self._state = optax.tree.set(self._state, **{self._key: start})

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
        import jax
        import jax.numpy as jnp

        with jax.enable_x64(True):
            arrays = {name: jnp.array(grads[name]) for name in self._params}
            self._params, self._state = self._update(arrays, self._state, self._params)

    def params(self) -> Arrays:
        """Return the parameters."""
        return {name: np.asarray(param) for name, param in self._params.items()}

    def momentum(self) -> Arrays | None:
        """Return the momentum found in the state, or None where the transformation keeps none."""
        import optax

        if self._key is None:
            return None
        return {name: np.asarray(m) for name, m in optax.tree.get(self._state, self._key).items()}
