"""The hostile ports are a module that can be imported by name, here and in the child processes that run them."""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent / "conformance" / "isolation")
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)
