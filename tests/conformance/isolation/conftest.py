"""The hostile ports of this folder are a module that can be imported by name, here and in child processes."""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)
