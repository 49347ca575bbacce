"""Calling a port: every call guarded, every array that comes back checked and copied at once."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.causes import lacking, message_of
from signopt.conformance.errors import PortBroke, PortHung, PortMisbehaved, PortNotRun, PortRaised, TargetError
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.protocol.values import type_name
from signopt.conformance.watchdog import call_within

__all__ = ["PATIENCE", "Driver", "as_port", "make_port", "quietly"]

PATIENCE = 60.0
"""Seconds of its own that a port may take for one call within this process; three times in all."""
_MOST_HANGS = 3

Tensors = dict[str, np.ndarray[Any, Any]]


def as_port(target: Any) -> Any:
    """A port from an instance, or from a class or factory without arguments."""
    return target() if isinstance(target, type) or not hasattr(target, "describe") else target


def make_port(target: Any) -> Any:
    """The same within :data:`PATIENCE`.

    Raises
    ------
    PortNotRun
        If the target takes longer, or raises.
    """
    try:
        return _guarded("making the port", as_port, target, seconds=PATIENCE)
    except PortRaised as error:
        raise PortNotRun(f"making the port: {type(error.cause).__name__}: {message_of(error.cause)}") from error


class Driver:
    """A port behind guards. No exception of the port passes but as `PortRaised`, `PortMisbehaved` or `PortNotRun`."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self._hangs = 0

    def call(self, method: str, *args: Any) -> Any:
        """Any method of the port: what it returned, unchecked.

        Raises
        ------
        PortRaised
            If it raised.
        PortMisbehaved
            If it has no such method, or its process broke down in a way that is its own fault.
        PortNotRun
            If it did not return in time, or cannot run here.
        """
        if self._hangs >= _MOST_HANGS:
            raise PortNotRun(f"{method}() was not called: {_MOST_HANGS} calls before it never returned")
        try:
            return _guarded(method, self._method, method, *args, seconds=self._seconds())
        except PortNotRun as error:
            self._hangs += isinstance(error.__cause__, PortHung)
            raise

    def _method(self, name: str, *args: Any) -> Any:
        method = getattr(self.port, name, None)
        if method is None:
            raise PortMisbehaved(f"the port has no method {name}()")
        return quietly(method, *args)

    def _seconds(self) -> float:
        return math.inf if getattr(type(self.port), "keeps_time", False) else PATIENCE

    def describe(self) -> Any:
        """What the port returned, unchecked."""
        return self.call("describe")

    def init(self, params: Tensors, hyper: Mapping[str, Any], momentum: Tensors | None = None) -> None:
        """Start afresh on these arrays. NotImplementedError passes as itself if a momentum is given."""
        if momentum is None:
            self.call("init", params, dict(hyper))
            return
        try:
            self.call("init", params, dict(hyper), dict(momentum))
        except PortRaised as error:
            if isinstance(error.cause, NotImplementedError):
                raise NotImplementedError from error
            raise

    def has(self, method: str) -> bool:
        """Whether the port has a method."""
        return bool(_guarded(method, lambda: callable(getattr(self.port, method, None)), seconds=self._seconds()))

    @property
    def configurable(self) -> bool:
        """Whether the port has ``configure(hyper)``."""
        return self.has("configure")

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Change the hyperparameters between steps."""
        self.call("configure", dict(hyper))

    def step(self, grads: Tensors) -> None:
        """One step on the arrays given, not on copies."""
        self.call("step", grads)

    def params(self, like: Tensors) -> Tensors:
        """The parameters, with the names, shapes and dtypes of ``like``."""
        return _checked("params", self.call("params"), like, same_dtype=True)

    def momentum(self, like: Tensors) -> Tensors | None:
        """The momentum, or None if it is hidden; its dtype may be another floating one."""
        returned = self.call("momentum")
        return None if returned is None else _checked("momentum", returned, like, same_dtype=False)


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """Call foreign code with warnings and floating-point errors off."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*args)


def _guarded(method: str, function: Callable[..., Any], *args: Any, seconds: float) -> Any:
    """Call foreign code within ``seconds``, and sort what it raises."""
    process = os.getpid()
    try:
        return call_within(seconds, function, *args)
    except (PortMisbehaved, KeyboardInterrupt):
        raise
    except PortBroke as error:
        if error.accuses:
            raise PortMisbehaved(str(error)) from error
        advice = f"{method}() " if isinstance(error, PortHung) else ""
        raise PortNotRun(f"{advice}{error}") from error
    # A port is foreign code: whatever it raises, even to leave the process, is a result of the check and not ours.
    except BaseException as error:
        if lacking(error):
            raise PortNotRun(f"{method}() raised {type(error).__name__}: {message_of(error)}") from error
        if isinstance(error, TargetError):
            raise PortNotRun(f"{method}: {message_of(error)}") from error
        raise PortRaised(method, error) from error
    finally:
        if os.getpid() != process:
            os._exit(0)  # the port has forked, and this is the copy: the check goes on in the original


def _checked(method: str, returned: Any, like: Tensors, *, same_dtype: bool) -> Tensors:
    """What was returned as arrays of our own; reading it is foreign code too."""
    try:
        return _arrays(method, returned, like, same_dtype)
    except PortMisbehaved:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {message_of(error)}"
        if lacking(error):
            raise PortNotRun(f"reading what {method}() returned raised {said}") from error
        raise PortMisbehaved(f"{method}() returned what cannot be read: {said}") from error


def _arrays(method: str, returned: Any, like: Tensors, same_dtype: bool) -> Tensors:
    if not isinstance(returned, Mapping):
        raise PortMisbehaved(f"{method}() returned {type_name(returned)}, not a mapping of names to arrays")
    missing, extra = [n for n in like if n not in returned], [str(n) for n in returned if n not in like]
    if missing or extra:
        raise PortMisbehaved(f"{method}() has wrong names: missing {missing[:5]}, unknown {extra[:5]}")
    return {name: _array(f"{method}()[{name!r}]", returned[name], like[name], same_dtype) for name in like}


def _array(where: str, value: Any, like: np.ndarray[Any, Any], same_dtype: bool) -> np.ndarray[Any, Any]:
    if not isinstance(value, (np.ndarray, np.generic)):
        raise PortMisbehaved(f"{where} is {type_name(value)}, not a NumPy array")
    if value.shape != like.shape:
        raise PortMisbehaved(f"{where} has shape {value.shape}, not {like.shape}")
    if value.dtype != like.dtype and (same_dtype or value.dtype.name not in FORMATS):
        raise PortMisbehaved(f"{where} has dtype {value.dtype}, not {like.dtype}")
    return np.array(value)
