"""Ports with one known bug each, and ports that are right in unusual ways: what the suite is tested on.

:data:`MUTANTS` and :data:`RIGHT_PORTS` hold :class:`Variant` objects for each rule; calling one gives a port.
"""

from __future__ import annotations

from collections.abc import Mapping

from signopt.conformance.mutants.lion import LION
from signopt.conformance.mutants.registry import Variant
from signopt.conformance.mutants.right import RIGHT_PORTS
from signopt.conformance.mutants.signum import SIGNUM
from signopt.conformance.mutants.tiger import TIGER
from signopt.conformance.mutants.wrappers import declaring, hide_momentum, live, unsettable, without_configure

__all__ = [
    "MUTANTS",
    "RIGHT_PORTS",
    "Variant",
    "declaring",
    "hide_momentum",
    "live",
    "unsettable",
    "without_configure",
]

MUTANTS: Mapping[str, tuple[Variant, ...]] = {"lion": LION, "signum": SIGNUM, "tiger": TIGER}
"""For each rule the mutants: every one of them is wrong."""
