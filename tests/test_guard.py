"""The settings of these tests themselves: a run that left out much is not green, and the last line says what."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(10))
def test_something(number):
    if number < {skipped}:
        pytest.skip("no GPU")

@pytest.mark.thorough
@pytest.mark.parametrize("number", range(3))
def test_something_more(number):
    pass

@pytest.mark.slow
@pytest.mark.thorough
def test_all_of_something():
    pass
"""
INI = """
[pytest]
testpaths = tests
addopts = -m "not slow and not thorough"
markers =
    slow: hours
    thorough: minutes
"""
MORE = "3 thorough (more cases of what was run: -m 'thorough and not slow', as .ci/run does)"
HOURS = "1 slow (-m slow takes hours)"


@pytest.mark.parametrize(
    ("skipped", "arguments", "code", "left_out"),
    [
        (2, ["-n", "2"], 0, f"{MORE}; 2 no GPU; {HOURS}"),
        (4, [], 1, f"4 no GPU; {MORE}; {HOURS}"),
        (4, ["-k", "something", "-m", "thorough and not slow"], 0, f"10 not selected; {HOURS}"),
    ],
)
def test_the_last_line_says_what_was_left_out_and_too_much_fails(skipped, arguments, code, left_out, pytester):
    pytester.makeini(INI)
    tests = pytester.mkdir("tests")
    (tests / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text("utf-8"), "utf-8")
    (tests / "test_it.py").write_text(TESTS.format(skipped=skipped))
    result = pytester.runpytest(*arguments)
    assert result.ret == code
    assert result.outlines[-1] == f"left out: {left_out}"
