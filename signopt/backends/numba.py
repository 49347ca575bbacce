"""The rules compiled by Numba: one fused pass over memory, all tensors of a step in one call per thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from signopt._namespace import Array, dtype_name
from signopt.backends import _numba_kernels as kernels
from signopt.backends._base import Backend, Known
from signopt.backends._known import tells_rms
from signopt.backends._numba_tables import TensorTable, is_addressable, is_compiled
from signopt.backends._numba_tiger import TigerTable
from signopt.backends._storage import NEAREST, Storage
from signopt.backends._threads import default_threads
from signopt.backends.numpy import NumpyBackend
from signopt.roles import RoleTraits, traits_of
from signopt.rules.coefficients import Coefficients
from signopt.rules.tiger import TigerCoefficients

__all__ = ["NumbaBackend"]

WORTH_A_THREAD = 1 << 17
"""Elements per thread under which handing work over costs more than it saves."""


class NumbaBackend(Backend):
    """Compiled loops with the bits of the rule.

    Tensors that are not dense (strided views), or whose pair of storage dtypes has no compiled kernel, rules without
    one, and steps with facts of rows are served by :class:`~signopt.backends.numpy.NumpyBackend`. A gradient with
    another order of axes than its parameter is copied.

    Parameters
    ----------
    params, momenta, roles
        As for :class:`~signopt.backends.numpy.NumpyBackend`.

    Attributes
    ----------
    threads : int
        The most threads that a step uses, 1 to 8; no result depends on it. At first ``SIGNOPT_NUM_THREADS``, or the
        number of processors.

    Notes
    -----
    The threads are this library's own, and the kernels release the GIL. Numba's are not used: its default layer must
    not be entered by two threads at once and does not survive a fork. Kernels are compiled at the first step that needs
    them and cached on disk.
    """

    name: ClassVar[str] = "numba"

    def __init__(
        self,
        params: Sequence[Array],
        momenta: Sequence[Array],
        roles: Sequence[str] | None = None,
        storage: Storage = NEAREST,
    ) -> None:
        self.threads = default_threads()
        roles = roles or ["matrix"] * len(params)
        self._params, self._traits = params, [traits_of(role) for role in roles]
        families, self._rest_indices = _families(params, momenta, self._traits, storage)
        self._tables = [TensorTable(indices, params, momenta, storage) for indices in families]
        self._tigers = {table: TigerTable(table, [self._traits[i] for i in table.indices]) for table in self._tables}
        self._formed: dict[TensorTable, tuple[Coefficients, tuple[Any, kernels.Scalars]]] = {}
        self._not_compiled = NumpyBackend(params, momenta, roles, storage)
        self._rest = NumpyBackend(
            [params[i] for i in self._rest_indices],
            [momenta[i] for i in self._rest_indices],
            [roles[i] for i in self._rest_indices],
            storage.some(self._rest_indices),
        )

    def prepare(
        self,
        grads: Sequence[Array],
        coefficients: Coefficients,
        *,
        unchanged: bool = False,
        facts: Known | None = None,
    ) -> Callable[[], None]:
        if coefficients.rule not in _SCALARS or self._rows_known(facts):
            self._not_compiled.threads = self.threads
            return self._not_compiled.prepare(grads, coefficients, facts=facts)
        copies = [table.point_to(grads, unchanged=unchanged) for table in self._tables]
        writes = [self._prepared(table, coefficients, facts) for table in self._tables]
        if self._rest_indices:
            self._rest.threads = self.threads
            known = facts and [facts[i] for i in self._rest_indices]
            writes.append(self._rest.prepare([grads[i] for i in self._rest_indices], coefficients, facts=known))

        def write(alive: Any = (grads, copies)) -> None:
            for write_family in writes:
                write_family()

        return write

    def _rows_known(self, facts: Known | None) -> bool:
        """Whether any facts describe rows one by one, which the kernels find out themselves."""
        rows = zip(facts or (), self._params, self._traits, strict=False)
        return any(
            its is not None and traits.rms == "row" and tells_rms(its, param.ndim, traits)
            for its, param, traits in rows
        )

    def _prepared(self, table: TensorTable, coefficients: Coefficients, facts: Known | None) -> Callable[[], None]:
        threads = max(1, min(self.threads, table.elements // WORTH_A_THREAD))
        k, scalars = self._rounded(table, coefficients)
        if isinstance(k, TigerCoefficients):
            known = facts and [facts[i] for i in table.indices]
            return self._tigers[table].prepare(k, coefficients.draw, scalars, threads, known)
        policy = table.policy(coefficients.draw)
        return table.prepare(getattr(kernels, k.rule), threads, table.elements, scalars, policy)

    def _rounded(self, table: TensorTable, coefficients: Coefficients) -> tuple[Any, kernels.Scalars]:
        """The coefficients in the compute dtype, formed anew if any number is another than at the step before."""
        known = self._formed.get(table)
        if known is None or not (known[0] is coefficients or known[0].same_numbers(coefficients)):
            k = coefficients.rounded(table.compute.name)
            known = self._formed[table] = coefficients, (k, table.scalars(**_SCALARS[k.rule](k)))
        return known[1]


_SCALARS: dict[str, Callable[[Any], dict[str, float]]] = {
    "lion": lambda k: {"B1": k.B1, "A1": k.A1, "B2": k.B2, "A2": k.A2, "lr": k.lr, "weight_decay": k.weight_decay},
    "signum": lambda k: {"B2": k.B, "A2": k.A, "lr": k.lr, "weight_decay": k.weight_decay},
    "tiger": lambda k: {"B2": k.b1, "A2": k.b2, "lr": k.lr, "shrink": k.shrink},
}
"""A rule's coefficients under the names of the compiled kernels."""


def _families(
    params: Sequence[Array], momenta: Sequence[Array], traits: Sequence[RoleTraits], storage: Storage
) -> tuple[list[list[int]], list[int]]:
    """The places of parameters by pair of dtypes with a kernel, and of those left over. Empty ones are in none."""
    families: dict[tuple[str, str], list[int]] = defaultdict(list)
    rest: list[int] = []
    for index, (param, momentum, trait) in enumerate(zip(params, momenta, traits, strict=True)):
        if not param.size:
            continue
        dtypes = dtype_name(param), dtype_name(momentum)
        beside = [storage.rest(index)] if storage.of(param) == "split" else []
        upright = trait.rms == "row" or storage.of(param) == "stochastic"
        served = is_compiled(*dtypes) and is_addressable(param, momentum, *beside, upright=upright)
        (families[dtypes] if served else rest).append(index)
    return list(families.values()), rest
