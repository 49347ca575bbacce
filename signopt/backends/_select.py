"""Which backend serves which arrays."""

from __future__ import annotations

from collections.abc import Sequence

from signopt._namespace import Array
from signopt.backends._base import Backend
from signopt.backends.portable import PortableBackend

__all__ = ["BACKENDS", "select"]

BACKENDS = ("auto", "portable")
"""The names that ``backend=`` takes."""


def select(backend: str, params: Sequence[Array]) -> type[Backend]:
    """The backend class called ``backend``, or with ``"auto"`` the fastest that serves ``params``.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
    return PortableBackend
