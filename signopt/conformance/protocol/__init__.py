"""JSON lines over stdin and stdout: how the suite talks to a port in another process, in any language.

The written protocol is ``docs/protocol.md``; this package is the suite's side of it. ``wire`` says how arrays
and hyperparameters are spelled, ``messages`` what a reply may look like, ``child`` owns the process and its
limits.
"""

from __future__ import annotations

__all__ = ["PROTOCOL_VERSION"]

PROTOCOL_VERSION = 1
"""The only version there is. A message that changes its meaning changes it; a new optional key does not."""
