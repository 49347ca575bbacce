"""The rules: each written once, as a pure function over arrays of any array API namespace."""

from signopt.rules.lion import lion
from signopt.rules.signum import signum
from signopt.rules.tiger import tiger

__all__ = ["lion", "signum", "tiger"]
