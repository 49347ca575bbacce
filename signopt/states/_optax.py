"""States of ``optax.lion``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from signopt._host import to_host
from signopt._namespace import Array
from signopt.states._common import fitting, names_of, replaced, state_of_lion

if TYPE_CHECKING:
    from signopt.optimizer import Optimizer

__all__ = ["from_optax", "to_optax"]

_HYPER = {"lr": "learning_rate", "beta1": "b1", "beta2": "b2", "weight_decay": "weight_decay"}


def from_optax(optimizer: Optimizer, opt_state: Any, *, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The state of ``optax.lion`` as one that ``optimizer.load_state_dict`` takes.

    Momenta and the count of steps are copied. Hyperparameters are part of a state of ``optax.inject_hyperparams`` only,
    where they are float32 numbers; otherwise ``optimizer`` keeps its own.

    Parameters
    ----------
    optimizer : signopt.Lion
        Who shall go on with the training.
    opt_state : pytree
        What ``init`` or ``update`` of the transformation returned.
    names : sequence of str, optional
        The names of their parameters, in the order of ``jax.tree.leaves(params)``. By default they are read from the
        tree, with its levels joined by "/": {"dense": {"kernel": ...}} has "dense/kernel".

    Raises
    ------
    ValueError, TypeError
        For a state without the momentum of a Lion, or with two, or of other parameters.

    Examples
    --------
    >>> import jax.numpy as jnp, numpy as np, optax, signopt.states
    >>> theirs = optax.lion(0.25)
    >>> params = {"dense": {"kernel": jnp.ones(2)}}
    >>> _, opt_state = theirs.update({"dense": {"kernel": jnp.array([1.0, -1.0])}}, theirs.init(params), params)
    >>> ours = signopt.Lion({"dense/kernel": np.ones(2, np.float32)}, lr=0.25, weight_decay=1e-3)
    >>> ours.load_state_dict(signopt.states.from_optax(ours, opt_state))
    >>> ours.step_count, ours.momentum["dense/kernel"]
    (1, array([ 0.01, -0.01], dtype=float32))
    """
    node = _momentum_node(opt_state)
    leaves = _named_leaves(node.mu, names, list(optimizer.params))

    state = state_of_lion(optimizer, "optax.lion")
    momentum = {name: fitting(to_host(leaves[name]), like, name) for name, like in state["momentum"].items()}
    return replaced(state, momentum, _hyper(opt_state, state["hyper"]), int(node.count))


def to_optax(optimizer: Optimizer, opt_state: Any, *, names: Sequence[str] | None = None) -> Any:
    """``opt_state`` of ``optax.lion`` with the momenta, the count and, if it has them, the hyperparameters of ours.

    Parameters
    ----------
    optimizer : signopt.Lion
        Whose state it is.
    opt_state : pytree
        What theirs ``init`` returned, or a later state.
    names : sequence of str, optional
        As for :func:`from_optax`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`from_optax`, and for a dtype that JAX has not: float64 without ``jax_enable_x64``.

    Examples
    --------
    >>> import jax.numpy as jnp, numpy as np, optax, signopt.states
    >>> ours = signopt.Lion({"w": np.ones(2, np.float32)}, lr=0.25)
    >>> ours.step({"w": np.array([1.0, -1.0], np.float32)})
    >>> opt_state = signopt.states.to_optax(ours, optax.lion(0.25, weight_decay=0.0).init({"w": jnp.ones(2)}))
    >>> opt_state[0].mu, int(opt_state[0].count)
    ({'w': Array([ 0.01, -0.01], dtype=float32)}, 1)
    """
    import jax

    node, state = _momentum_node(opt_state), state_of_lion(optimizer, "optax.lion")
    leaves = _named_leaves(node.mu, names, list(state["momentum"]))
    new = [_on_jax(to_host(state["momentum"][name]), leaf, name) for name, leaf in leaves.items()]
    mu = jax.tree.unflatten(jax.tree.structure(node.mu), new)

    def exchanged(part: Any) -> Any:
        if part is node:
            part = part._replace(mu=mu)
        if "count" in _fields(part):
            part = part._replace(count=jax.numpy.asarray(state["step"], part.count.dtype))
        if "hyperparams" in _fields(part):
            part = part._replace(hyperparams=_injected(part.hyperparams, state["hyper"]))
        return _rebuilt(part, exchanged)

    result = exchanged(opt_state)
    if _momentum_node(result).mu is not mu:
        raise TypeError(f"a state of the kind {type(opt_state).__name__} cannot be changed from outside")
    return result


def _momentum_node(opt_state: Any) -> Any:
    parts = _parts(opt_state)
    if any("ns_coeffs" in _fields(part) for part in parts):
        raise ValueError(
            "the state is of optax.contrib.muon, which corrects the bias of momentum and gradient, each by a factor of "
            "its own; signopt.Muon does not, so training would not go on as it was"
        )
    found = [part for part in parts if _fields(part) == {"mu", "count"}]
    if len(found) != 1:
        raise ValueError(f"the state has {len(found)} parts with the momentum of a Lion; one is expected")
    return found[0]


def _parts(tree: Any) -> list[Any]:
    """The state and all states within it; momenta are not looked into."""
    children = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, tuple) else ()
    return [tree, *(part for child in children for part in _parts(child))]


def _fields(part: Any) -> set[str]:
    return set(getattr(part, "_fields", ()))


def _rebuilt(part: Any, change: Callable[[Any], Any]) -> Any:
    """A state with ``change`` applied to the states within it."""
    if hasattr(part, "_fields"):
        inner = [name for name in part._fields if name.startswith("inner")]
        return part._replace(**{name: change(getattr(part, name)) for name in inner})
    if isinstance(part, tuple):
        return tuple(map(change, part))
    return {name: change(child) for name, child in part.items()} if isinstance(part, dict) else part


def _named_leaves(mu: Any, names: Sequence[str] | None, own: list[str]) -> dict[str, Array]:
    import jax

    rows = jax.tree_util.tree_flatten_with_path(mu)[0]
    if names is None:
        names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in rows]
    return dict(zip(names_of(names, own, len(rows)), (leaf for _, leaf in rows), strict=True))


def _hyper(opt_state: Any, current: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters in a state of ``inject_hyperparams``, {} in any other."""
    for part in _parts(opt_state):
        if "hyperparams" in _fields(part):
            theirs = {own: float(part.hyperparams[their]) for own, their in _HYPER.items() if their in part.hyperparams}
            betas = (theirs.pop("beta1", current["betas"][0]), theirs.pop("beta2", current["betas"][1]))
            return theirs | {"betas": betas}
    return {}


def _injected(theirs: Mapping[str, Any], hyper: Mapping[str, Any]) -> dict[str, Any]:
    import jax

    own = {**hyper, "beta1": hyper["betas"][0], "beta2": hyper["betas"][1]}
    values = {
        their: jax.numpy.asarray(own[ours], theirs[their].dtype) for ours, their in _HYPER.items() if their in theirs
    }
    return {**theirs, **values}


def _on_jax(values: Any, like: Array, name: str) -> Array:
    import jax

    array = jax.numpy.asarray(values)
    if array.dtype != values.dtype:
        raise TypeError(f"JAX has no {values.dtype} for the momentum of {name!r}; set jax_enable_x64")
    return fitting(to_host(array), like, name)
