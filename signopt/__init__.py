"""The reference for sign-based optimizers: Lion, Signum, Tiger and Muon, exact to the last bit."""

from signopt._version import __version__
from signopt.checkpoint import load, save
from signopt.optimizer import Groups, Lion, Muon, Signum, Tiger
from signopt.rules import lion, msign, muon, signum, spectral_decay, tiger, tiger_facts

__all__ = [
    "Groups",
    "Lion",
    "Muon",
    "Signum",
    "Tiger",
    "__version__",
    "lion",
    "load",
    "msign",
    "muon",
    "save",
    "signum",
    "spectral_decay",
    "tiger",
    "tiger_facts",
]
