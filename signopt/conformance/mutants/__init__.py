"""Ports with one known bug each: what the suite is tested on, and what names the bug of a failing port.

:data:`MUTANTS` holds :class:`~signopt.conformance.numpy_ports.Variant` objects for each rule; calling one gives a port.
"""

from __future__ import annotations

from collections.abc import Mapping

from signopt.conformance.mutants.lion import LION
from signopt.conformance.mutants.muon import MUON
from signopt.conformance.mutants.signum import SIGNUM
from signopt.conformance.mutants.tiger import TIGER
from signopt.conformance.numpy_ports import Variant

__all__ = ["MUTANTS"]

MUTANTS: Mapping[str, tuple[Variant, ...]] = {"lion": LION, "signum": SIGNUM, "tiger": TIGER, "muon": MUON}
"""For each rule the mutants: every one of them is wrong."""
