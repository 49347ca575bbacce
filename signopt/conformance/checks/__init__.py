"""Every check of the suite, by what it proves."""

from signopt.conformance.checks import basic
from signopt.conformance.checks._registry import PROFILES, REGISTRY, Check, check

__all__ = ["PROFILES", "REGISTRY", "Check", "basic", "check"]
