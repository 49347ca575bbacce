"""How a rule is applied in place to the arrays of one optimizer."""

from signopt.backends._base import Backend
from signopt.backends._interop import adopt
from signopt.backends._select import BACKENDS, select

__all__ = ["BACKENDS", "Backend", "adopt", "select"]
