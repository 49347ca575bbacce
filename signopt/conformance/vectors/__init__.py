"""Vectors: inputs and legal outcomes of single cases as plain JSON, for tests in any language.

``store`` reads and copies the files that come with the package and needs nothing heavy; ``generate`` makes
them from the exact oracle. The format is described in ``docs/vectors.md`` and by ``vectors.schema.json``.
"""

from __future__ import annotations
