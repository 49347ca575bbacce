"""A message between the suite and the child: some JSON, then the bytes of arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from signopt.conformance.errors import ProtocolViolation

__all__ = ["dtype_of", "join", "split"]


def join(head: dict[str, Any], blocks: Sequence[bytes]) -> bytes:
    """One message from its JSON and its blocks, whose sizes go with it."""
    text = json.dumps({**head, "sizes": [len(block) for block in blocks]}).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *blocks])


def split(message: bytes) -> tuple[dict[str, Any], list[memoryview]]:
    """The inverse of :func:`join`.

    Raises
    ------
    ProtocolViolation
        If ``join`` wrote no such message.
    """
    try:
        end = 4 + int.from_bytes(message[:4], "big")
        head = json.loads(message[4:end])
        ends = [end, *(end + total for total in np.cumsum(head.pop("sizes"), dtype=np.int64).tolist())]
        blocks = [memoryview(message)[start:stop] for start, stop in pairwise(ends)]
    except (ValueError, RecursionError, KeyError, AttributeError, TypeError, OverflowError) as error:
        raise ProtocolViolation(f"an unreadable message: {error}") from None
    if ends[-1] != len(message) or ends != sorted(ends):
        raise ProtocolViolation("an unreadable message: its sizes do not add up")
    return head, blocks


def dtype_of(name: object) -> np.dtype[Any]:
    """A dtype by the name that it has in a message.

    Raises
    ------
    ProtocolViolation
        If it is not one of numbers.
    """
    if name == "bfloat16":
        import ml_dtypes  # noqa: F401  (registers the dtype's name)
    try:
        dtype = np.dtype(name if isinstance(name, str) else "")
    except TypeError:
        dtype = np.dtype(object)
    if dtype.hasobject or dtype.fields is not None or dtype.itemsize == 0:
        raise ProtocolViolation(f"no dtype of numbers is called {name!r}")
    return dtype
