"""What each method of a port says in its messages: which fields a request has, and which one its reply.

A rule whose ports have other methods than the five names them here, and nowhere else in the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from signopt.conformance.errors import ProtocolViolation

from .wire import decode_array, decode_arrays, encode_array, encode_arrays, encode_hyper

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """One method.

    ``fields`` are its arguments in order, with how each is spelled; ``reply`` is the key of what it returns and how
    that is read. ``begins`` says whether a port that broke down is started again for it.
    """

    fields: tuple[tuple[str, Callable[[Any], Any]], ...] = ()
    reply: tuple[str, Callable[[Any], Any]] | None = None
    begins: bool = False

    def spell(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        """The fields of a request; an argument of None is left out."""
        given = zip(self.fields, arguments, strict=False)
        return {key: spell(argument) for (key, spell), argument in given if argument is not None}

    def read(self, reply: Mapping[str, Any]) -> Any:
        """What the method returns."""
        if self.reply is None:
            return None
        key, read = self.reply
        try:
            return read(reply.get(key, ...))
        except ProtocolViolation as failure:
            raise ProtocolViolation(f"{key}: {failure}") from None


def _or_null(spelled: Any) -> Any:
    return None if spelled is None else decode_arrays(spelled)


METHODS: Mapping[str, Method] = {
    "init": Method((("params", encode_arrays), ("hyper", encode_hyper), ("momentum", encode_arrays)), begins=True),
    "configure": Method((("hyper", encode_hyper),)),
    "step": Method((("grads", encode_arrays),)),
    "params": Method(reply=("params", decode_arrays)),
    "momentum": Method(reply=("momentum", _or_null)),
    "decay": Method((("matrix", encode_array),), reply=("decay", decode_array), begins=True),
    "round": Method((("x", encode_array),), reply=("rounded", decode_array), begins=True),
    "round_with": Method((("x", encode_array), ("words", encode_array)), reply=("rounded", decode_array), begins=True),
}
