"""The rule itself, computed into new arrays that are then copied into the old ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from signopt._namespace import Array
from signopt.backends._base import Backend, Known
from signopt.backends._interop import without_graph
from signopt.backends._storage import NEAREST, Storage
from signopt.backends._stored import Stored
from signopt.roles import traits_of
from signopt.rules import UPDATES
from signopt.rules.coefficients import Coefficients

__all__ = ["PortableBackend"]


class PortableBackend(Backend):
    """Runs on every namespace whose arrays can be assigned to, at the price of temporaries of full size."""

    name: ClassVar[str] = "portable"

    def __init__(
        self,
        params: Sequence[Array],
        momenta: Sequence[Array],
        roles: Sequence[str] | None = None,
        storage: Storage = NEAREST,
    ) -> None:
        self._params = [Stored(param, index, storage) for index, param in enumerate(params)]
        self._momenta = momenta
        self._traits = [traits_of(role) for role in roles or ["matrix"] * len(params)]
        self._no_graph = without_graph(params[0])

    def prepare(
        self,
        grads: Sequence[Array],
        coefficients: Coefficients,
        *,
        unchanged: bool = False,
        facts: Known | None = None,
    ) -> Callable[[], None]:
        update = UPDATES[coefficients.rule]
        known: list[Any] = [()] * len(grads) if facts is None else [() if its is None else (its,) for its in facts]
        rows = zip(self._params, grads, self._momenta, self._traits, known, strict=True)
        with self._no_graph():
            results = [update(p.read(), p.like_read(g), m, coefficients, traits, *its) for p, g, m, traits, its in rows]
            written = [
                pair
                for param, momentum, (new_param, new_momentum) in zip(self._params, self._momenta, results, strict=True)
                for pair in (*param.rounded(new_param, coefficients.draw), (momentum, new_momentum))
            ]
        return lambda: self._write(written)

    def _write(self, written: Sequence[tuple[Array, Array]]) -> None:
        with self._no_graph():
            for array, value in written:
                array[...] = value
