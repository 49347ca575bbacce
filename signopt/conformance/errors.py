"""Every exception of the suite that a user can meet, and what each says about the port.

======================== ==========================================================================================
raised                   meaning
======================== ==========================================================================================
`TargetError`            before anything ran: there is no such port to check
`DeclarationError`       ``describe()`` says what the suite cannot act on
`PortRaised`             a call raised: the check fails
`PortMisbehaved`         a call returned what the interface does not allow: the check fails
`PortNotRun`             a call could not be made here: the check did not run, and nobody is accused
`CheckNotRun`            such a check, in a test of pytest
`PortRefused`            a port in another process answered with an error
`PortBroke` and below    a port in another process gave no answer, or an unreadable one
======================== ==========================================================================================

The last two are different things: an answer may be a refusal, and no answer never is one. Of the kinds of `PortBroke`
only those that ``accuse`` make a check fail; a check that met any other did not run.
"""

from __future__ import annotations

from typing import ClassVar

from signopt.conformance.causes import message_of, place_of

__all__ = [
    "CheckNotRun", "DeclarationError", "GuessError", "PortBroke", "PortDied", "PortHung", "PortLacks", "PortMisbehaved",
    "PortNotRun", "PortOverLimit", "PortRaised", "PortRefused", "PortTimeout", "PortUnavailable", "PortUnfinished",
    "ProtocolViolation", "RemoteError", "TargetError",
]  # fmt: skip


class TargetError(ValueError):
    """There is no such target; the message says what to write instead."""


class GuessError(TargetError):
    """An optimizer cannot be driven by its name alone; the message says what is missing and what to write instead."""


class DeclarationError(ValueError):
    """``describe()`` says something that the suite cannot act on."""


class PortRaised(Exception):
    """The port raised; ``cause`` is what it raised, and ``method`` the method that was called."""

    def __init__(self, method: str, cause: BaseException) -> None:
        self.method, self.cause = method, cause
        name = getattr(cause, "type_name", type(cause).__name__)
        did = "answered with the error" if type(cause) is PortRefused else f"raised {name}:"
        place = getattr(cause, "place", None) or place_of(cause)
        super().__init__(f"{method}() {did} {message_of(cause)[:300]}{place}")


class PortMisbehaved(Exception):
    """The port returned something that is not what its interface says, or ended its process."""


class PortNotRun(Exception):
    """The port could not be run here: too little time or memory, or something is missing. It accuses nobody."""


class CheckNotRun(Exception):
    """A check could not run: an error of the test, and no failure of the port."""


class PortRefused(RuntimeError):
    """The port understood, and answered with an error of its own."""


class RemoteError(PortRefused):
    """The same of a Python port in a process of its own.

    ``type_name`` is the name of the exception's type there, and ``place`` the line that raised it.
    """

    def __init__(self, name: str, message: str, place: str = "") -> None:
        self.type_name, self.place = name, place
        super().__init__(message)


class PortBroke(RuntimeError):
    """The conversation with the port broke down."""

    accuses: ClassVar[bool] = False
    """Whether this is the port's fault whatever the machine."""


class PortDied(PortBroke):
    """The port's process ended in the middle of a conversation."""

    accuses = True


class ProtocolViolation(PortBroke):
    """Something other than the one expected reply: not JSON, another id, a malformed array, too long."""

    accuses = True


class PortHung(PortBroke):
    """A call within this process did not return in time."""


class PortTimeout(PortBroke):
    """No complete answer arrived in time; the process was killed."""


class PortUnfinished(PortTimeout):
    """No complete answer, and what did arrive shows why: it was not flushed, or lacks its end."""


class PortOverLimit(PortBroke):
    """The port used more memory than it was allowed; the process was killed."""


class PortLacks(PortBroke):
    """The port cannot work here: a library, memory or a device is missing."""


class PortUnavailable(PortBroke):
    """The port could not be started, or broke down so often that it is not started again."""
