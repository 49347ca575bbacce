"""JAX would take most of the device's memory at its first array; the tests share the device."""

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
