"""The file of known deviations: what it may say, and what it may not."""

from datetime import date

import pytest

from signopt.conformance.deviations import Deviation, load, stated

GOOD = """
[[deviation]]
check = "special/nan[float32]"
reason = "by design"
rule = "lion"
issue = "https://example.org/7"
since = 2026-01-01
expires = 2026-12-31

[[deviation]]
check = "momentum"
reason = "known"
"""


def written(tmp_path, text):
    path = tmp_path / "deviations.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path):
    entries = load(written(tmp_path, GOOD), date(2026, 12, 31))
    expected = Deviation(
        "special/nan[float32]", "by design", "lion", "https://example.org/7", date(2026, 1, 1), date(2026, 12, 31)
    )
    assert entries == [expected, Deviation("momentum", "known")]
    assert stated(entries, "lion") == {
        "special/nan[float32]": "by design (https://example.org/7)",
        "momentum": "known",
    }
    assert stated(entries, "tiger") == {"momentum": "known"}


def test_an_empty_file_states_nothing(tmp_path):
    assert load(written(tmp_path, "")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[deviation]\n", "is not TOML"),
        ("deviation = 3", "must hold"),
        ("other = 3", "must hold"),
        ("deviation = [3]", "must be a table"),
        ("[[deviation]]\ncheck = 'a'", "deviation 1 needs reason"),
        ("[[deviation]]\nreason = 'a'", "needs check"),
        ("[[deviation]]\ncheck = 'a'\nreason = ''", "needs reason"),
        ("[[deviation]]\ncheck = 'a'\nreason = 'b'\nwhy = 'c'", "has why; known are check"),
        ("[[deviation]]\ncheck = 'a'\nreason = 3", "reason must be a string"),
        ("[[deviation]]\ncheck = 'a'\nreason = 'b'\nsince = '2026'", "since must be a date"),
        ("[[deviation]]\ncheck = 'a'\nreason = 'b'\nrule = 'adam'", "rule must be one of"),
        ("[[deviation]]\ncheck = 'a'\nreason = 'b'\n" * 2, "two deviations for a"),
        (GOOD, "special/nan\\[float32\\] expired on 2026-12-31"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load(written(tmp_path, text), date(2027, 1, 1))
