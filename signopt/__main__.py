"""``python -m signopt`` is the command ``signopt``."""

from __future__ import annotations

import sys

from signopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
