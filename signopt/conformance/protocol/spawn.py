"""Start a process in a session of its own, with the pipes over which it is spoken to."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Pipes", "spawn", "why_not"]


@dataclass
class Pipes:
    """The suite's ends, as file numbers: requests go out, replies come in, and what the port logs comes in too."""

    out: int
    replies: int
    log: int

    def close_out(self) -> None:
        """The end of the requests."""
        self._close(self.out)
        self.out = -1

    def close(self) -> None:
        """The end of all."""
        for number in (self.out, self.replies, self.log):
            self._close(number)
        self.out = self.replies = self.log = -1

    @staticmethod
    def _close(number: int) -> None:
        if number >= 0:
            with contextlib.suppress(OSError):
                os.close(number)


def spawn(
    command: Sequence[str], environment: Mapping[str, str], *, private: bool
) -> tuple[subprocess.Popen[bytes], Pipes]:
    """The process and its pipes: stdin and stdout, or if ``private`` two pipes named in two more arguments.

    Raises
    ------
    OSError, ValueError
        If it cannot be started; nothing is left open then.
    """
    theirs_in, out = os.pipe()
    replies, theirs_out = os.pipe()
    log, theirs_log = os.pipe()
    inherited = (theirs_in, theirs_out, theirs_log)
    try:
        process = subprocess.Popen(
            [*command, *([str(theirs_in), str(theirs_out)] if private else [])],
            stdin=subprocess.DEVNULL if private else theirs_in,
            stdout=theirs_log if private else theirs_out,
            stderr=theirs_log,
            pass_fds=(theirs_in, theirs_out) if private else (),
            start_new_session=True,
            env=dict(environment),
        )
    except BaseException:
        Pipes(out, replies, log).close()
        raise
    finally:
        for number in inherited:
            os.close(number)
    for number in (out, replies, log):
        os.set_blocking(number, False)
    return process, Pipes(out, replies, log)


def why_not(error: Exception, program: str) -> str:
    """Why a program could not be started, and what to write if it lies in this folder."""
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    here = isinstance(error, FileNotFoundError) and os.path.dirname(program) == "" and os.path.isfile(program)
    return f"{why}; the file of that name in this folder is ./{program}" if here else why
