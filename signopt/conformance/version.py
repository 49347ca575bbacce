"""The version of the suite: calendar versioning, because what changes it is what it checks."""

from __future__ import annotations

__all__ = ["SUITE_VERSION"]

SUITE_VERSION = "2026.11.0"
"""Year, month, count. A report and a vector file say which suite made them."""
