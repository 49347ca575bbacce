"""A Python port is checked in a child process: it may hang, crash or eat memory there, and still gets a
verdict.

The whole check runs in the child, so that the port is handed real arrays with their strides. Results come
back one by one as JSON lines; a child that stops answering is killed, the check at which it stopped has
failed, and another child goes on with the next one.
"""

from __future__ import annotations
