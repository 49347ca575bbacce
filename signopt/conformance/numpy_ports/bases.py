"""The plain port of every rule: what variants are made from."""

from __future__ import annotations

from collections.abc import Mapping

from signopt.conformance.numpy_ports.base import NumpyPort
from signopt.conformance.numpy_ports.lion import LionPort
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.signum import SignumPort
from signopt.conformance.numpy_ports.tiger import TigerPort

__all__ = ["BASES"]

BASES: Mapping[str, type[NumpyPort]] = {port.rule: port for port in (LionPort, SignumPort, TigerPort, MuonPort)}
