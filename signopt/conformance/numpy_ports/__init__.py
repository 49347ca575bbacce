"""NumPy ports made of small pieces: a third derivation of the rules, from which mutants and right ports are made.

:data:`BASES` has the plain port of every rule, :data:`RIGHT_PORTS` ports that are right in unusual ways, each a
:class:`Variant`; calling one gives a port.
"""

from __future__ import annotations

from signopt.conformance.numpy_ports.bases import BASES
from signopt.conformance.numpy_ports.right import RIGHT_PORTS
from signopt.conformance.numpy_ports.variant import Variant, variant
from signopt.conformance.numpy_ports.wrappers import declaring, hide_momentum, live, unsettable, without_configure

__all__ = [
    "BASES",
    "RIGHT_PORTS",
    "Variant",
    "declaring",
    "hide_momentum",
    "live",
    "unsettable",
    "variant",
    "without_configure",
]
