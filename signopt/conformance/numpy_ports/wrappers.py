"""Ways in which a port may be harder to look into, to put around any port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.port import Arrays, Port

__all__ = ["Wrapper", "declaring", "hide_momentum", "live", "unsettable", "without_configure"]


class Wrapper:
    """A port that passes everything on to another one."""

    def __init__(self, port: Port, declared: Mapping[str, Any] | None = None) -> None:
        self.port = port
        self.declared = declared or {}

    def describe(self) -> Mapping[str, Any]:
        """The inner port's description and what is declared besides."""
        return {**self.port.describe(), **self.declared}

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Start the inner port."""
        self.port.init(params, hyper, momentum)

    def step(self, grads: Arrays) -> None:
        """Step the inner port."""
        self.port.step(grads)

    def params(self) -> Arrays:
        """The inner port's parameters."""
        return self.port.params()

    def momentum(self) -> Arrays | None:
        """The inner port's momentum."""
        return self.port.momentum()


class _Configurable(Wrapper):
    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Pass changed hyperparameters on."""
        self.port.configure(hyper)  # type: ignore[attr-defined]


class _Hidden(_Configurable):
    def momentum(self) -> None:
        """Not exposed."""
        return


class _Unsettable(_Configurable):
    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Start from zero momentum only."""
        if momentum is not None:
            raise NotImplementedError("this port cannot start from a given momentum")
        self.port.init(params, hyper)


class _Live(_Configurable):
    def params(self) -> Arrays:
        """The arrays themselves, which the next step overwrites."""
        live: dict[str, np.ndarray] = self.port.p  # type: ignore[attr-defined]
        return live

    def momentum(self) -> Arrays | None:
        """The arrays themselves, which the next step overwrites."""
        live: dict[str, np.ndarray] = self.port.m  # type: ignore[attr-defined]
        return live


def hide_momentum(port: Port) -> Port:
    """``port`` without its momentum."""
    return _Hidden(port)


def unsettable(port: Port) -> Port:
    """``port``, refusing to start from a given momentum."""
    return _Unsettable(port)


def live(port: Port) -> Port:
    """A NumPy port of this package that hands out its own arrays."""
    return _Live(port)


def without_configure(port: Port) -> Port:
    """``port`` with no way to change hyperparameters but a new start."""
    return Wrapper(port)


def declaring(port: Port, **declared: Any) -> Port:
    """``port`` with further declarations."""
    return _Configurable(port, declared)
