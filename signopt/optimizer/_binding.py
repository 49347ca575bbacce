"""The arrays of one optimizer, checked whenever they are new or have changed, and the backend that writes them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from signopt import _checks as checks
from signopt._facts import Facts, facts_of
from signopt._identity import SameArrays
from signopt._namespace import Array, dtype_name
from signopt.backends import Backend, adopt, select
from signopt.backends._storage import Storage
from signopt.optimizer._params import Arrays, in_order, names_of_frozen
from signopt.rules.coefficients import Coefficients

__all__ = ["Binding"]


class Binding:
    """Parameters and momenta bound to a backend, and bound anew if any of them has become another kind of array.

    Parameters
    ----------
    rule : str
        The rule's name, for errors.
    params, momenta : mapping
        By name, with the same names; not copied.
    roles : sequence of str
        Tiger's, or empty.
    wanted : str
        The backend asked for.
    storage : Storage
        How parameters are stored.
    """

    def __init__(
        self,
        rule: str,
        params: Mapping[str, Array],
        momenta: Mapping[str, Array],
        roles: Sequence[str],
        wanted: str,
        storage: Storage,
    ) -> None:
        self._rule, self._params, self._momenta = rule, params, momenta
        self._roles, self._wanted, self._storage = roles, wanted, storage
        self._all, self._frozen = [*params], frozenset[str]()
        self._part: tuple[frozenset[str], Binding] | None = None
        self._seen = SameArrays()
        self._seen_by_backend = False
        if params:
            self._bind()

    def without(self, frozen: Collection[str]) -> Binding:
        """A binding of the other parameters; that of the last ``frozen`` is kept for the next step."""
        names = names_of_frozen(frozen, self._params)
        if self._part is None or self._part[0] != names:
            self._part = names, self._without(names)
        return self._part[1]

    def _without(self, frozen: frozenset[str]) -> Binding:
        params, momenta = (
            {name: array for name, array in arrays.items() if name not in frozen}
            for arrays in (self._params, self._momenta)
        )
        roles = [role for name, role in zip(self._params, self._roles, strict=False) if name not in frozen]
        kept = [index for index, name in enumerate(self._params) if name not in frozen]
        part = Binding(self._rule, params, momenta, roles, self._wanted, self._storage.some(kept))
        part._frozen, part._all = frozen, [*self._params]
        return part

    def ordered(self, grads: Arrays) -> list[Any]:
        """The gradients in the order of the parameters, without those that are frozen."""
        if not self._frozen:
            return in_order(grads, self._params)
        if isinstance(grads, Mapping):
            return in_order({name: grads[name] for name in grads if name not in self._frozen}, self._params)
        named = zip(self._all, in_order(grads, self._all), strict=True)
        return [grad for name, grad in named if name not in self._frozen]

    def prepare(self, given: list[Any], coefficients: Coefficients) -> Callable[[], None]:
        """All of a step but the writing, with one gradient for each parameter; the function that is returned writes."""
        if not given:
            return lambda: None
        if not self._facts.hold(self._written):
            self._bind_anew()
        if self._seen.are(given):
            write = self.backend.prepare(given, coefficients, unchanged=self._seen_by_backend)
            self._seen_by_backend = True
            return write
        self._seen_by_backend = False
        if self.backend.recognises(given):
            return self.backend.prepare(given, coefficients)
        write = self.backend.prepare(self._checked(given), coefficients)
        self._seen_by_backend = self._seen.anything
        return write

    def prepare_shards(
        self, given: list[Any], coefficients: Coefficients, facts: Mapping[str, Array]
    ) -> Callable[[], None]:
        """As :meth:`prepare`; a parameter with facts is a shard of the tensor that they describe."""
        if not given:
            return lambda: None
        if self._storage.rounding == "stochastic":
            raise ValueError(
                "rounding='stochastic' does not know where a shard lies in its tensor; use the pure rule and "
                "signopt.rounding.stochastic_bfloat16 with its offset, or rounding='split'"
            )
        if not self._facts.hold(self._written):
            self._bind_anew()
        known = [facts.get(name) for name in self._params]
        return self.backend.prepare(self._checked(given), coefficients, facts=known)

    def _bind(self) -> None:
        params, momenta = [*self._params.values()], [*self._momenta.values()]
        backend = select(self._wanted, params)(params, momenta, self._roles, self._storage)
        self._written = params + momenta + [rest for rest in self._storage.rests if rest is not None]
        self.backend: Backend = backend
        self._facts: Facts = facts_of(self._written)

    def _bind_anew(self) -> None:
        """Check and bind arrays whose memory, shape, strides, dtype or flags are not what they were."""
        self._seen.forget()
        self._seen_by_backend = False
        check_params(self._params, self._rule)
        for name, param in self._params.items():
            label, momentum = f"params[{name!r}]", self._momenta[name]
            checks.check_partner(param, momentum, label, "momentum")
            checks.check_momentum_dtype(dtype_name(param), dtype_name(momentum), label)
            checks.check_writable(momentum, f"momentum[{name!r}]", f"signopt.{self._rule}")
        self._check_rests()
        checks.check_disjoint(self._labelled(), {})
        threads = getattr(self.backend, "threads", None)
        self._bind()
        if threads is not None:
            self.backend.threads = threads  # type: ignore[attr-defined]

    def _check_rests(self) -> None:
        for index, (name, param) in enumerate(self._params.items()):
            rest, label = self._storage.rest(index), f"rests[{name!r}]"
            if rest is None:
                continue
            checks.check_writable(rest, label, f"signopt.{self._rule}")
            if tuple(rest.shape) != tuple(param.shape) or dtype_name(rest) != "int16":
                raise ValueError(f"{label} is no longer an int16 array of the shape of params[{name!r}]")

    def _checked(self, given: list[Any]) -> list[Array]:
        """The gradients as arrays of a known library, checked; remembered if nothing had to be converted."""
        self._seen.forget()
        self._seen_by_backend = False
        if all(map(checks.certainly_matches, self._params.values(), given)):
            grads = given
        else:
            grads = [
                checks.as_array(adopt(grad, f"grads[{name!r}]")) for name, grad in zip(self._params, given, strict=True)
            ]
            self._check_partners(grads)
        checks.check_disjoint(
            self._labelled(), {f"grads[{name!r}]": grad for name, grad in zip(self._params, grads, strict=True)}
        )
        if all(map(operator.is_, grads, given)):
            self._seen.remember(grads)
        return grads

    def _check_partners(self, grads: list[Array]) -> None:
        for (name, param), grad in zip(self._params.items(), grads, strict=True):
            label = f"params[{name!r}]"
            checks.check_partner(param, grad, label, "gradient")
            checks.check_gradient_dtype(dtype_name(param), dtype_name(grad), label)

    def _labelled(self) -> dict[str, Array]:
        rests = {name: self._storage.rest(index) for index, name in enumerate(self._params)}
        split = {name: rest for name, rest in rests.items() if rest is not None}
        named = (("params", self._params), ("momentum", self._momenta), ("rests", split))
        return {f"{what}[{name!r}]": array for what, arrays in named for name, array in arrays.items()}


def check_params(params: Mapping[str, Array], rule: str) -> None:
    """Check that every parameter can be updated in place, and that no two share memory."""
    first_name, first = next(iter(params.items()))
    for name, param in params.items():
        label = f"params[{name!r}]"
        checks.check_dtype(param, label)
        checks.check_writable(param, label, f"signopt.{rule}")
        checks.check_same_home(param, first, label, f"params[{first_name!r}]")
    checks.check_disjoint({f"params[{name!r}]": param for name, param in params.items()}, {})
