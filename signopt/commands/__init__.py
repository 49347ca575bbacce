"""What each subcommand does, imported only when it is asked for."""

from __future__ import annotations
