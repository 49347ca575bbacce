"""Make the vector files from the cases and the exact oracle: the same bytes each time, on every machine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from signopt.conformance.oracle.rules import RULES
from signopt.conformance.protocol.wire import encode_arrays, encode_hyper
from signopt.conformance.report import SUITE
from signopt.conformance.vectors import lion, muon, signum, tiger
from signopt.conformance.vectors.case import Case
from signopt.conformance.vectors.expected import arrays_of, steps
from signopt.conformance.vectors.notes import NOTES
from signopt.conformance.vectors.store import DTYPES, SCHEMA_NAME, document_text, file_name

__all__ = ["CASES", "document", "generate"]

FORMAT = 2
CASES: Mapping[str, Callable[[], Iterator[Case]]] = {
    "lion": lion.cases,
    "signum": signum.cases,
    "tiger": tiger.cases,
    "muon": muon.cases,
}
"""The cases of every rule that has vectors."""


def generate(folder: str | Path) -> Iterator[Path]:
    """Write every vector file to ``folder``; yields each path once it is written."""
    for rule in CASES:
        for dtype in DTYPES:
            path = Path(folder) / file_name(rule, dtype)
            path.write_text(document_text(document(rule, dtype)), "utf-8")
            yield path


def document(rule: str, dtype: str) -> dict[str, Any]:
    """The content of one vector file."""
    vectors = [_vector(case, rule, dtype) for case in CASES[rule]() if dtype in case.dtypes]
    flags = {flag for vector in vectors for flag in vector["flags"]}
    return {
        "$schema": SCHEMA_NAME,
        "suite": "signopt",
        "suite_version": SUITE,
        "format": FORMAT,
        "rule": rule,
        "dtype": dtype,
        "provenance": {
            "generator": "signopt vectors generate",
            "oracle": "signopt.conformance.oracle.judge: exact rational arithmetic, every legal order of evaluation",
            "sources": list(RULES[rule].sources),
        },
        "notes": {flag: NOTES[flag] for flag in NOTES if flag in flags},
        "count": len(vectors),
        "canary": _canary(vectors[0]),
        "vectors": vectors,
    }


def _vector(case: Case, rule: str, dtype: str) -> dict[str, Any]:
    params = arrays_of(case, case.params, dtype)
    vector: dict[str, Any] = {
        "id": f"{rule}/{dtype}/{case.name}",
        "profile": "core" if len(case.grads) == 1 and not case.name.startswith("rounded/") else "standard",
        "comment": case.comment,
        "flags": list(case.flags),
        "requires": dict(case.requires),
        "hyper": encode_hyper(case.hyper),
        "params": encode_arrays(params),
    }
    if case.momentum:
        vector["momentum"] = encode_arrays(arrays_of(case, case.momentum, dtype))
    outcomes = steps(case, rule, dtype)
    grads = (encode_arrays(arrays_of(case, values, dtype)) for values in case.grads)
    vector["steps"] = [
        {**_before(case, at, dtype), "grads": g, "params": p, "momentum": m}
        for at, (g, (p, m)) in enumerate(zip(grads, outcomes, strict=True))
    ]
    return vector


def _before(case: Case, step: int, dtype: str) -> dict[str, Any]:
    """What changes before a step: all hyperparameters if one does, and the parameters that are set."""
    before: dict[str, Any] = {}
    if step in case.changes:
        before["hyper"] = encode_hyper(case.hyper_at(step))
    if step in case.resets:
        before["set"] = encode_arrays(arrays_of(case, case.resets[step], dtype))
    return before


def _canary(vector: dict[str, Any]) -> dict[str, Any]:
    """A vector with one outcome that no right port has: a test that passes it tests nothing."""
    wrong = copy.deepcopy(vector)
    rule, dtype, *_ = vector["id"].split("/")
    wrong |= {
        "id": f"{rule}/{dtype}/canary/wrong",
        "comment": "wrong on purpose: a right port must fail it",
        "flags": [],
    }
    outcomes = next(iter(wrong["steps"][0]["params"].values()))
    outcomes[0] = ["nan"]
    return wrong
