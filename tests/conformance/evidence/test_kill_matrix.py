"""The kill matrix: who was caught by what, as data, text, picture and exit code."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from signopt import cli
from signopt.conformance.evidence.grid import matrix_picture
from signopt.conformance.evidence.kill_matrix import Matrix, kill_matrix
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant, hide_momentum

FEW = {"plain", "no-op", "decay-missing"}


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return kill_matrix(["lion"], profile="core", dtypes=["float32"], only=lambda variant: variant.id in FEW)


def test_mutants_fail_and_right_ports_pass(matrix: Matrix) -> None:
    assert {row.variant.id: (row.right, row.failing) for row in matrix.rows} == {
        "no-op": (False, 1),
        "decay-missing": (False, 1),
        "plain": (True, 0),
    }
    assert matrix.survivors == matrix.accused == []


def test_a_survivor_and_an_accused_right_port_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = Variant("harmless", "lion", "nothing", {})
    wrong = next(variant for variant in MUTANTS["lion"] if variant.id == "no-op")
    monkeypatch.setitem(MUTANTS, "lion", (harmless,))  # type: ignore[misc]
    monkeypatch.setitem(RIGHT_PORTS, "lion", (wrong,))  # type: ignore[misc]
    found = kill_matrix(["lion"], profile="core", dtypes=["float32"])
    assert [row.variant.id for row in found.survivors] == ["harmless"]
    assert [row.variant.id for row in found.accused] == ["no-op"]
    assert "SURVIVES" in found.text()
    assert "ACCUSED" in found.text()
    assert found.summary() == "lion: killed 0 of 1 mutants, accused 1 of 1 right ports"


def test_a_quick_run_finds_the_same_survivors_and_sole_kills() -> None:
    few = {"look-cut-near-zero", "no-op", "plain"}
    whole, quick = (
        kill_matrix(["lion"], profile="core", dtypes=["float32"], only=lambda v: v.id in few, enough=enough)
        for enough in (None, 2)
    )
    assert quick.survivors == quick.accused == []
    assert quick.sole_kills("lion") == whole.sole_kills("lion")
    assert whole.sole_kills("lion")["step/cancelling"] == ["look-cut-near-zero"]


def test_further_seeds_of_a_quick_run_judge_each_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = next(variant for variant in MUTANTS["lion"] if variant.id == "no-op")
    right = next(variant for variant in RIGHT_PORTS["lion"] if variant.id == "plain")
    lives = iter([wrong.over(), right.over()])
    monkeypatch.setattr(Variant, "__call__", lambda variant: next(lives))

    def only(variant: Variant) -> bool:
        return variant.id == "no-op"

    found = kill_matrix(["lion"], profile="core", dtypes=["float32"], seeds=(0, 1), only=only, enough=1)
    (row,) = found.survivors
    assert (row.runs, row.failing) == (2, 1)


def test_a_wrapped_mutant_is_caught_too() -> None:
    hidden = kill_matrix(
        ["lion"], dtypes=["float32"], wrap=hide_momentum, only=lambda v: v.id == "momentum-not-written"
    )
    assert hidden.survivors == []


def test_the_picture_is_svg_with_a_row_for_every_port(matrix: Matrix) -> None:
    words = {element.text for element in ElementTree.fromstring(matrix_picture(matrix)).iter() if element.text}
    assert {"no-op", "decay-missing", "right: plain"} <= words


def test_the_command_writes_json_and_exits_by_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "matrix.json"
    command = ["mutants", "--rule", "signum", "--dtype", "float64", "--only", "no-op-wholly", "--json", str(out)]
    assert cli.main(command) == 0
    data = json.loads(out.read_text(encoding="utf-8"))
    assert [row["id"] for row in data["rows"]] == ["no-op-wholly"]
    assert data["survivors"] == data["accused"] == []
    assert "killed 1 of 1 mutants" in capsys.readouterr().out


def test_stochastic_roundings_have_a_matrix_too() -> None:
    few = {"plain", "llm.c", "torchao"}
    found = kill_matrix(["stochastic-rounding"], profile="core", dtypes=["float32"], only=lambda v: v.id in few)
    assert {row.variant.id: (row.right, row.runs, row.failing) for row in found.rows} == {
        "torchao": (False, 1, 1),
        "llm.c": (False, 1, 1),
        "plain": (True, 1, 0),
    }
    assert found.to_dict()["checks"]["stochastic-rounding"][0].startswith("rounding/")


def test_a_matrix_of_no_run_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["mutants", "--rule", "stochastic-rounding", "--dtype", "bfloat16"]) == 2
    assert "no port was run" in capsys.readouterr().err
