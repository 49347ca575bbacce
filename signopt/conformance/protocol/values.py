"""Values as they cross between the suite and the child: JSON with a mark on whatever is not a plain scalar, no pickle.

``{"d": [[key, value], …]}`` is a mapping, ``{"l": […]}`` a list, ``{"t": […]}`` a tuple, ``{"a": …}`` an array,
``{"f": name, "r": repr}`` something else of type ``name``. How an array is spelled is the business of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from signopt.conformance.errors import ProtocolViolation
from signopt.conformance.protocol.wire import brief

__all__ = ["Foreign", "read", "spell", "type_name"]

Array = np.ndarray[Any, Any]
_MOST_DEPTH = 50


@dataclass(frozen=True)
class Foreign:
    """Stands for something that a port returned and that no message can hold."""

    name: str
    shown: str

    def __repr__(self) -> str:
        return self.shown


def type_name(value: Any) -> str:
    """The name of a value's type, also of one that stayed in the child."""
    return value.name if isinstance(value, Foreign) else type(value).__name__


def spell(value: Any, array: Callable[[Array | np.generic], Any], depth: int = 0) -> Any:
    """A value as JSON; ``array`` spells the arrays in it."""
    if isinstance(value, np.ndarray | np.generic):
        return {"a": array(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth < _MOST_DEPTH:
        if isinstance(value, Mapping):
            return {"d": [[spell(key, array, depth + 1), spell(value[key], array, depth + 1)] for key in value]}
        if isinstance(value, list | tuple):
            kind = "l" if isinstance(value, list) else "t"
            return {kind: [spell(item, array, depth + 1) for item in value]}
    return {"f": type(value).__name__, "r": _shown(value)}


def _shown(value: Any) -> str:
    # repr() of a port's object is foreign code.
    try:
        return repr(value)[:200]
    except Exception:
        return f"<{type(value).__name__}>"


def read(spelled: Any, array: Callable[[Any], Any]) -> Any:
    """The inverse of :func:`spell`.

    Raises
    ------
    ProtocolViolation
        For anything that `spell` does not write.
    """
    if not isinstance(spelled, dict):
        return spelled
    match spelled:
        case {"a": content}:
            return array(content)
        case {"d": list(pairs)}:
            return _mapping(pairs, array)
        case {"l": list(items)}:
            return [read(item, array) for item in items]
        case {"t": list(items)}:
            return tuple(read(item, array) for item in items)
        case {"f": str(name), "r": str(shown)}:
            return Foreign(name, shown)
    raise ProtocolViolation(f"not a value: {brief(spelled)}")


def _mapping(pairs: list[Any], array: Callable[[Any], Any]) -> dict[Any, Any]:
    try:
        return {read(key, array): read(value, array) for key, value in pairs}
    except (TypeError, ValueError) as error:
        raise ProtocolViolation(f"not a mapping: {brief(pairs)}: {error}") from None
