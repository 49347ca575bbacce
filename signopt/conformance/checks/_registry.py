"""The table of checks, and the decorator that enters one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from signopt.conformance.oracle.rules import SIGN_RULES
from signopt.conformance.session import Session

__all__ = ["PROFILES", "REGISTRY", "Check", "check"]

PROFILES = ("core", "standard", "strict")
"""Each contains the ones before it."""


@dataclass(frozen=True)
class Check:
    """One check: a stable id "group/name", what it proves, and for which rules.

    ``essential``: a port to which it does not apply cannot pass. ``metamorphic``: it compares the port with itself,
    bit for bit, and needs no oracle.
    """

    id: str
    proves: str
    function: Callable[[Session], None]
    profile: str = "standard"
    rules: tuple[str, ...] = SIGN_RULES
    essential: bool = False
    metamorphic: bool = False

    @property
    def group(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]

    def applies(self, rule: str, profile: str) -> bool:
        """Whether ``profile`` contains this check for ``rule``."""
        return rule in self.rules and PROFILES.index(self.profile) <= PROFILES.index(profile)


REGISTRY: dict[str, Check] = {}


def check(
    identifier: str,
    *,
    profile: str = "standard",
    rules: tuple[str, ...] = SIGN_RULES,
    essential: bool = False,
    metamorphic: bool = False,
) -> Callable[[Callable[[Session], None]], Callable[[Session], None]]:
    """Enter a function into the table; the first paragraph of its docstring says what the check proves."""

    def enter(function: Callable[[Session], None]) -> Callable[[Session], None]:
        if identifier in REGISTRY:
            raise ValueError(f"two checks are called {identifier}")
        proves = " ".join((function.__doc__ or "").split("\n\n")[0].split())
        REGISTRY[identifier] = Check(identifier, proves, function, profile, rules, essential, metamorphic)
        return function

    return enter
