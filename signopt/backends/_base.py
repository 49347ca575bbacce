"""What a backend is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

from signopt._namespace import Array
from signopt._signals import DeferredSignals
from signopt.backends._storage import NEAREST, Storage
from signopt.rules.coefficients import Coefficients

__all__ = ["Backend", "Known"]

Known: TypeAlias = Sequence[Array | None]


class Backend(Protocol):
    """Applies rules in place to the parameters and momenta that it is bound to.

    The optimizer has checked everything before a backend is called: gradients come in the order of the parameters, with
    their shapes, dtypes and device, and overlap none of the arrays written. A backend leaves the bits that the rule
    gives (NaN as a class). Whatever can fail does so in :meth:`prepare`.
    """

    name: ClassVar[str]
    reads_tensors: ClassVar[bool] = False
    """Whether gradients may be torch's tensors, on the device of the arrays."""

    def __init__(
        self,
        params: Sequence[Array],
        momenta: Sequence[Array],
        roles: Sequence[str] | None = None,
        storage: Storage = NEAREST,
    ) -> None:
        """Bind to the arrays that will be written; ``roles`` are Tiger's, one per parameter."""
        ...

    def recognises(self, grads: Sequence[Any]) -> bool:
        """A quick yes, or unknown, to whether ``grads`` would pass the optimizer's checks, which then are not made."""
        return False

    def prepare(
        self,
        grads: Sequence[Array],
        coefficients: Coefficients,
        *,
        unchanged: bool = False,
        facts: Known | None = None,
    ) -> Callable[[], None]:
        """One step, for Tiger a micro-step, of the rule ``coefficients.rule`` on every parameter: all but the writing.

        Compiles, allocates and reads what the step needs. The function that is returned writes, and must be called at
        once: before the arrays change, and before another step is prepared. ``unchanged`` is for a caller who has seen
        that ``grads`` are the array objects of the step before, with all but their elements as it was. ``facts`` are
        Tiger's, one for each parameter: those of the tensor of which it is a shard, or None.
        """
        ...

    def step(self, grads: Sequence[Array], coefficients: Coefficients) -> None:
        """Prepare a step and take it; signals wait until it is whole."""
        write = self.prepare(grads, coefficients)
        with DeferredSignals():
            write()
