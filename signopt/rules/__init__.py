"""The rules: each written once, as a pure function over arrays of any array API namespace."""

from collections.abc import Callable, Mapping

from signopt._namespace import Array
from signopt.rules.facts import tiger_facts
from signopt.rules.lion import apply_lion, lion
from signopt.rules.muon import apply_muon, muon
from signopt.rules.newton_schulz import msign
from signopt.rules.signum import apply_signum, signum
from signopt.rules.spectral_decay import spectral_decay
from signopt.rules.tiger import apply_tiger, tiger

__all__ = ["UPDATES", "lion", "msign", "muon", "signum", "spectral_decay", "tiger", "tiger_facts"]

UPDATES: Mapping[str, Callable[..., tuple[Array, Array]]] = {
    "lion": apply_lion,
    "muon": apply_muon,
    "signum": apply_signum,
    "tiger": apply_tiger,
}
"""Each rule with its coefficients already formed: ``(param, grad, momentum, coefficients, traits)``."""
