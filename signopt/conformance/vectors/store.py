"""The vector files inside the package: read them, or copy them to where another language's tests can."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from signopt.conformance.oracle.rules import RULES as _ALL

__all__ = ["PROFILES", "RULES", "copy", "document_text", "load", "schema"]

PROFILES = ("core", "standard")
DTYPES = ("float32", "float64", "float16", "bfloat16")
SCHEMA_NAME = "vectors.schema.json"


def data() -> Traversable:
    """The folder of the files."""
    return files(__package__) / "data"


RULES = tuple(rule for rule in _ALL if (data() / f"{rule}-{DTYPES[0]}.json").is_file())
"""The rules that have vectors."""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a vector file; which rules there are, it has from :data:`RULES`."""
    content: dict[str, Any] = json.loads((files(__package__) / SCHEMA_NAME).read_text("utf-8"))
    content["properties"]["rule"] = {"enum": list(RULES)}
    identifier = content["$defs"]["vector"]["properties"]["id"]
    identifier["pattern"] = identifier["pattern"].replace("[a-z-]+", f"({'|'.join(RULES)})", 1)
    return content


def load(rule: str, dtype: str) -> dict[str, Any]:
    """One vector file as Python objects.

    Raises
    ------
    ValueError
        If there is no such file; it says which there are.
    """
    if rule not in RULES or dtype not in DTYPES:
        known = f"rules {', '.join(RULES)}; dtypes {', '.join(DTYPES)}"
        raise ValueError(f"there are no vectors for rule {rule!r} and dtype {dtype!r}: {known}")
    content: dict[str, Any] = json.loads((data() / file_name(rule, dtype)).read_text("utf-8"))
    return content


def file_name(rule: str, dtype: str) -> str:
    """``lion-float32.json``."""
    return f"{rule}-{dtype}.json"


def copy(folder: str | Path, *, rule: str | None = None, profile: str = "standard") -> list[Path]:
    """Copy the vectors and their schema to ``folder``, which is made if need be.

    Parameters
    ----------
    rule:
        Only this rule; None for all.
    profile:
        "core": only vectors of one step whose numbers are constructed; "standard": all.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ValueError
        For an unknown rule or profile.
    OSError
        If the folder cannot be written.
    """
    if profile not in PROFILES:
        raise ValueError(f"there are no vectors for profile {profile!r}: known are {', '.join(PROFILES)}")
    if rule is not None and rule not in RULES:
        raise ValueError(f"there are no vectors for rule {rule!r}: known are {', '.join(RULES)}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _selected((rule,) if rule else RULES, profile):
        (target / name).write_text(text, "utf-8")
        written.append(target / name)
    return written


def _selected(rules: tuple[str, ...], profile: str) -> Iterator[tuple[str, str]]:
    yield SCHEMA_NAME, json.dumps(schema(), indent=2) + "\n"
    for rule in rules:
        for dtype in DTYPES:
            document = load(rule, dtype)
            wanted = PROFILES[: PROFILES.index(profile) + 1]
            document["vectors"] = [vector for vector in document["vectors"] if vector["profile"] in wanted]
            document["count"] = len(document["vectors"])
            yield file_name(rule, dtype), document_text(document)


def document_text(document: Mapping[str, Any]) -> str:
    """A vector file as text: one vector a line, so that a difference between two versions can be read."""
    head = {key: value for key, value in document.items() if key != "vectors"}
    canary = head.pop("canary", None)
    opening = json.dumps(head, indent=1, ensure_ascii=True)[:-2]
    if canary is not None:
        opening += f',\n "canary": {json.dumps(canary, separators=(",", ":"))}'
    lines = ",\n".join(f"  {json.dumps(vector, separators=(',', ':'))}" for vector in document["vectors"])
    return f'{opening},\n "vectors": [\n{lines}\n ]\n}}\n'
