"""A Python port is held by a child process: it may hang, crash or eat memory there, and still gets a verdict.

The child holds the port and nothing else. The checks, the exact arithmetic and the counts stay with the suite, so that
nothing a port does to its own process can make it pass: not a patched NumPy, not what it prints, not a forged answer,
which is only another wrong number. Arrays travel as they lie in memory, with their strides, and changes in place travel
back, so that a port is seen to do to them what it would do in this process.
"""

from __future__ import annotations
