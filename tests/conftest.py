"""Settings shared by all tests."""

import os
import sys
from pathlib import Path

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# The hostile ports are a module that can be imported by name, here and in the child processes that run them.
HOSTILE_PORTS = str(Path(__file__).parent / "conformance" / "isolation")
if HOSTILE_PORTS not in sys.path:
    sys.path.insert(0, HOSTILE_PORTS)
