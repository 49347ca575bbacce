"""Calling a port: every call guarded, every array that comes back checked and copied at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.protocol.errors import PortFailure, PortHung
from signopt.conformance.watchdog import call_within

__all__ = ["PATIENCE", "Driver", "PortRaisedError", "PortWrongError", "as_port", "made"]

PATIENCE = 20.0
"""Seconds that a port may take for one call; half as long after each call that took longer, and three such in all."""
_MOST_HANGS = 3

Tensors = dict[str, np.ndarray[Any, Any]]


class PortRaisedError(Exception):
    """The port raised; ``cause`` is what it raised and ``method`` where."""

    def __init__(self, method: str, cause: BaseException) -> None:
        self.method, self.cause = method, cause
        super().__init__(f"{method}() raised {type(cause).__name__}: {str(cause)[:300]}")


class PortWrongError(Exception):
    """The port returned something that is not what its interface says."""


def as_port(target: Any) -> Any:
    """A port from an instance, or from a class or factory without arguments."""
    return target() if isinstance(target, type) or not hasattr(target, "describe") else target


def made(target: Any) -> Any:
    """The same within :data:`PATIENCE`: PortHung where making it takes longer."""
    return call_within(PATIENCE, as_port, target)


class Driver:
    """A port behind guards. No exception of the port passes but as `PortRaisedError`."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self._hangs = 0

    def _call(self, method: str, *args: Any) -> Any:
        if self._hangs >= _MOST_HANGS:
            raise PortWrongError(f"{method}() was not called: {_MOST_HANGS} calls before it never returned")
        try:
            return guarded(method, getattr(self.port, method, None), *args, seconds=self._seconds())
        except PortHung as error:
            self._hangs += 1
            raise PortWrongError(f"{method}() {error}") from None

    def _seconds(self) -> float:
        return math.inf if getattr(self.port, "keeps_time", False) else PATIENCE * 0.5**self._hangs

    def call(self, method: str, *args: Any) -> Any:
        """What a method that only the port's rule has returned, unchecked."""
        return self._call(method, *args)

    def describe(self) -> Any:
        """What the port returned, unchecked."""
        return self._call("describe")

    def init(self, params: Tensors, hyper: Mapping[str, Any], momentum: Tensors | None = None) -> None:
        """Start afresh on these arrays. NotImplementedError passes as itself where a momentum is given."""
        if momentum is None:
            self._call("init", params, dict(hyper))
            return
        try:
            self._call("init", params, dict(hyper), {name: array.copy() for name, array in momentum.items()})
        except PortRaisedError as error:
            if isinstance(error.cause, NotImplementedError):
                raise NotImplementedError from error
            raise

    @property
    def configurable(self) -> bool:
        """Whether the port has ``configure(hyper)``."""
        return callable(getattr(self.port, "configure", None))

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Change the hyperparameters between steps."""
        self._call("configure", dict(hyper))

    def step(self, grads: Tensors) -> None:
        """One step on the arrays given, not on copies."""
        self._call("step", grads)

    def params(self, like: Tensors) -> Tensors:
        """The parameters, with the names, shapes and dtypes of ``like``."""
        return _checked("params", self._call("params"), like, same_dtype=True)

    def momentum(self, like: Tensors) -> Tensors | None:
        """The momentum, or None where it is hidden; its dtype may be another floating one."""
        returned = self._call("momentum")
        return None if returned is None else _checked("momentum", returned, like, same_dtype=False)


def guarded(method: str, function: Callable[..., Any] | None, *args: Any, seconds: float) -> Any:
    """Call foreign code with floating-point warnings off; PortHung where it takes longer than ``seconds``."""
    if function is None:
        raise PortWrongError(f"the port has no method {method}()")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return call_within(seconds, function, *args)
    except PortHung:
        raise
    except PortFailure as error:
        raise PortWrongError(str(error)) from error
    # A port is foreign code: whatever it raises, even to leave the process, is a result of the check and not ours.
    except (Exception, SystemExit) as error:
        raise PortRaisedError(method, error) from error


def _checked(method: str, returned: Any, like: Tensors, *, same_dtype: bool) -> Tensors:
    if not isinstance(returned, Mapping):
        raise PortWrongError(f"{method}() returned {type(returned).__name__}, not a mapping of names to arrays")
    missing, extra = [n for n in like if n not in returned], [str(n) for n in returned if n not in like]
    if missing or extra:
        raise PortWrongError(f"{method}() has wrong names: missing {missing[:5]}, unknown {extra[:5]}")
    return {name: _array(f"{method}()[{name!r}]", returned[name], like[name], same_dtype) for name in like}


def _array(where: str, value: Any, like: np.ndarray[Any, Any], same_dtype: bool) -> np.ndarray[Any, Any]:
    if not isinstance(value, (np.ndarray, np.generic)):
        raise PortWrongError(f"{where} is {type(value).__name__}, not a NumPy array")
    if value.shape != like.shape:
        raise PortWrongError(f"{where} has shape {value.shape}, not {like.shape}")
    if value.dtype != like.dtype and (same_dtype or value.dtype.name not in FORMATS):
        raise PortWrongError(f"{where} has dtype {value.dtype}, not {like.dtype}")
    return np.array(value)
