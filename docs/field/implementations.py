"""Write ``docs/field/implementations.md`` and the counts of ``state.md`` from ``implementations.toml``.

python docs/field/implementations.py
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parent
RUNS = ("run", "tried", "read")
RULES = ("lion", "signum", "tiger", "muon")
VERDICTS = {"right": "right", "wrong": "**wrong**", "choice": "another rule, on purpose"}
KINDS = {
    "decay": "weight decay: coupled into the gradient, without the rate, or missing",
    "momentum": "momentum: coefficients exchanged, look-ahead, or never written",
    "sign": "the sign of zero and NaN, or a mask with the wrong bits",
    "state": "state that is shared, starts from something else, or is overwritten",
    "shape scale": "the factor by shape, taken from the wrong axes or without its maximum",
    "precision": "hyperparameters that went through float32 in a float64 model",
    "rules left out": "parts of the rule that are not there at all",
    "another step": "another step than the rule's, on purpose",
}
HEAD = """\
# Every implementation looked at

<!-- Written by `python docs/field/implementations.py` from implementations.toml; edit that. -->

{count} public implementations, with the version, the lines and what they compute. *run*: in this repository's matrix,
on the [compatibility page](compatibility.md), or by traces of the authors' own code. *tried*: `signopt check` was run
on it by hand, and agrees with what was read. *read*: its source was read at that version, and nothing more.

<input class="filter" type="search" placeholder="Filter: decay, tiger, wrong …" aria-label="Filter the table"
 oninput="for (const row of document.querySelectorAll('article tbody tr'))
   row.hidden = !row.textContent.toLowerCase().includes(this.value.toLowerCase())">

"""
TAIL = """
## Read and not run

The suite had a GPU for minutes, no XPU and no Julia, which DeepSpeed's FusedLion, the 8-bit Lion of bitsandbytes on
XPU and Optimisers.jl need. In those minutes the Triton kernel of lion-pytorch, which tunes itself for every size that
it meets, was not done, and the CUDA library of bitsandbytes had ended the process (`invalid argument`, `ops.cu:142`).
bitsandbytes 0.49.2 takes no CPU tensors; the builder of DeepSpeed 0.19.7 refuses a machine without an accelerator;
llm-foundry imports Composer, which wants an older torch; hazdzz/Tiger and mrsteyk/tiger-pytorch are not published as
packages.

## Not judged

- MegEngine's Tiger: there is no release for this Python.
- adv-lion 0.1.1 cannot be imported on file systems that tell upper from lower case: its `util/__init__.py` asks for
  `BF16_Stochastic_Rounding`, and the wheel has `bf16_stochastic_rounding.py`.
- decoupledLionW 0.1.2 is a wheel without a module.
"""


def load() -> list[dict[str, str]]:
    """Every entry, checked: a fault has a kind, a right one has none, and names are unique within a rule."""
    entries = tomllib.loads((FOLDER / "implementations.toml").read_text("utf-8"))["implementation"]
    for entry in entries:
        missing = {"name", "rule", "version", "where", "computes", "verdict", "run"} - entry.keys()
        known = not missing and entry["verdict"] in VERDICTS and entry["rule"] in RULES and entry["run"] in RUNS
        if not known:
            raise ValueError(f"{entry.get('name')}: missing {sorted(missing)}, or an unknown verdict, rule or run")
        if (entry["verdict"] == "right") != ("kind" not in entry) or entry.get("kind", "decay") not in KINDS:
            raise ValueError(f"{entry['name']}: a fault or a choice has one of the kinds {', '.join(KINDS)}")
        if "case" in entry and not (FOLDER / entry["case"]).exists():
            raise ValueError(f"{entry['name']}: there is no {entry['case']}")
    named = Counter((entry["rule"], entry["name"]) for entry in entries)
    if twice := [name for name, count in named.items() if count > 1]:
        raise ValueError(f"twice: {twice}")
    return list(entries)


def table(entries: list[dict[str, str]]) -> str:
    """One row for each."""
    rows = [
        "| rule | implementation | version | what it computes | where | verdict | |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in sorted(entries, key=lambda e: (RULES.index(e["rule"]), e["name"].lower())):
        verdict = VERDICTS[entry["verdict"]]
        case = f" ([case]({entry['case']}))" if "case" in entry else ""
        cells = (entry["rule"], entry["name"], entry["version"], entry["computes"], f"`{entry['where']}`")
        rows.append(f"| {' | '.join(cells)} | {verdict}{case} | {entry['run']} |")
    return "\n".join(rows) + "\n"


def state(entries: list[dict[str, str]]) -> str:
    """The counts, by rule and by kind of fault."""
    lines = ["# The state of the field", "", "<!-- Written by `python docs/field/implementations.py`. -->", ""]
    wrong = [entry for entry in entries if entry["verdict"] == "wrong"]
    lines += [
        f"Of {len(entries)} public implementations of four rules, {len(wrong)} compute something else than they say. "
        "[All of them](implementations.md), with lines.",
        "",
        "| rule | looked at | right | wrong | another rule, on purpose |",
        "|---|---|---|---|---|",
    ]
    for rule in RULES:
        counts = Counter(entry["verdict"] for entry in entries if entry["rule"] == rule)
        lines.append(f"| {rule} | {counts.total()} | {counts['right']} | {counts['wrong']} | {counts['choice']} |")
    lines += ["", "What goes wrong:", "", "| kind of fault | how many |", "|---|---|"]
    for kind, count in Counter(entry["kind"] for entry in wrong).most_common():
        lines.append(f"| {KINDS[kind]} | {count} |")
    lines += ["", "Why their own tests do not see it: [](../weak_suites.md).", ""]
    return "\n".join(lines)


def main() -> None:
    """Write both pages."""
    entries = load()
    (FOLDER / "implementations.md").write_text(HEAD.format(count=len(entries)) + table(entries) + TAIL, "utf-8")
    (FOLDER / "state.md").write_text(state(entries), "utf-8")


if __name__ == "__main__":
    main()
