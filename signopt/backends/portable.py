"""The rule itself, computed into new arrays that are then copied into the old ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from signopt._namespace import Array
from signopt.backends._base import Backend
from signopt.roles import traits_of
from signopt.rules._coefficients import LionCoefficients, SignumCoefficients, TigerCoefficients
from signopt.rules.lion import apply_lion
from signopt.rules.signum import apply_signum
from signopt.rules.tiger import apply_tiger

__all__ = ["PortableBackend"]


class PortableBackend(Backend):
    """Runs on every namespace whose arrays can be assigned to, at the price of temporaries of full size."""

    name: ClassVar[str] = "portable"

    def __init__(self, params: Sequence[Array], momenta: Sequence[Array], roles: Sequence[str] | None = None) -> None:
        self._params = params
        self._momenta = momenta
        self._traits = [traits_of(role) for role in roles or ()]

    def lion(self, grads: Sequence[Array], coefficients: LionCoefficients) -> None:
        self._assign(grads, lambda i, p, g, m: apply_lion(p, g, m, coefficients))

    def signum(self, grads: Sequence[Array], coefficients: SignumCoefficients) -> None:
        self._assign(grads, lambda i, p, g, m: apply_signum(p, g, m, coefficients))

    def tiger(self, grads: Sequence[Array], coefficients: TigerCoefficients) -> None:
        self._assign(grads, lambda i, p, g, m: apply_tiger(p, g, m, coefficients, self._traits[i]))

    def _assign(
        self, grads: Sequence[Array], update: Callable[[int, Array, Array, Array], tuple[Array, Array]]
    ) -> None:
        triples = zip(self._params, grads, self._momenta, strict=True)
        results = [update(i, param, grad, momentum) for i, (param, grad, momentum) in enumerate(triples)]
        for param, momentum, (new_param, new_momentum) in zip(self._params, self._momenta, results, strict=True):
            param[...] = new_param
            momentum[...] = new_momentum
