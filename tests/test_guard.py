"""The settings of these tests themselves: a run that left out much is not green, and the last line says what."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
SKIPPING = """
import pytest

@pytest.mark.parametrize("number", range(10))
def test_something(number):
    if number < {skipped}:
        pytest.skip("no GPU")
"""


@pytest.mark.parametrize(("skipped", "code"), [(2, 0), (4, 1)])
@pytest.mark.parametrize("arguments", [[], ["-k", "something"]])
def test_a_whole_run_that_left_out_too_much_fails(skipped, code, arguments, pytester):
    pytester.makeini("[pytest]\ntestpaths = tests\n")
    tests = pytester.mkdir("tests")
    (tests / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text("utf-8"), "utf-8")
    (tests / "test_it.py").write_text(SKIPPING.format(skipped=skipped))
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == (0 if arguments else code)
    assert result.outlines[-1] == f"left out: {skipped} no GPU"
