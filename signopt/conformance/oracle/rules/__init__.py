"""The rules of the suite. This is the one list of them, and nothing here knows `signopt.rules`.

**To add a rule**

1. Write ``rules/<name>.py`` with one class and one instance of it, and put the instance into `RULES` below.

   - A rule that steps by ±rate: a subclass of `SignRule`. ``averages`` is enough for the shared judge; ``exact`` is
     for the strict profile. What the shared checks take for granted are attributes: look at each.
   - Any other optimizer: a subclass of `Optimizer`. It brings its own ``judge(habits)``, called once for each life of
     a port: what it returns takes each `Step` (hyperparameters, parameters, gradients and what is known of the momenta
     before, parameters and momenta after, index) and returns `Judged`: the faults, and what is known of the momenta
     afterwards. ``outcomes`` gives the legal values for vectors, ``spread`` makes the tensors of a check from one array
     (matrices, say), ``approach`` brings a momentum about that cannot be set, ``discrimination`` serves the search for
     vacuous checks.
   - What is no optimizer (a rounding): a subclass of `Rule`. Its checks call ``session.driver.call(method, *arrays)``
     and report with ``session.fail`` and ``session.expect_equal``; ``Session.start`` is not for it.

2. Its hyperparameters are `Hyper` objects: name, the kind that says how it travels (``protocol.wire.KINDS``; a new kind
   is one line there), the source's default, and what a check gives without a wish of its own.
3. What its ports may declare is a class of habits (``oracle/habits.py``), named as ``habits``: a field is
   ``one_of(default, ...)``, ``some_of(...)`` or ``mapping()``. ``describe()`` is checked against it, and every check
   reads it as ``session.habits``.
4. Checks name the rules that they serve: ``@check("norm/scale", rules=("muon",))``. Without a name a check is for
   `SIGN_RULES`; those for all `OPTIMIZERS` only start, step and compare. The groups of new ids go into
   ``checks.ORDER``.
5. Ports in pieces, mutants, right ports, and the cases of vectors: ``numpy_ports.BASES``, ``mutants.MUTANTS`` and
   ``RIGHT_PORTS``, ``vectors.generate.CASES``. A rule that is missing there has none, and nothing breaks.

The library's side of it, and the order, is in CONTRIBUTING.md.

``describe()``, the command line, the vectors' schema and the tests' fixtures read `RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from signopt.conformance.oracle.rules._rule import NO_DEFAULT, Approach, Discrimination, Hyper, Optimizer, Rule
from signopt.conformance.oracle.rules._sign import SignRule
from signopt.conformance.oracle.rules.lion import LION
from signopt.conformance.oracle.rules.muon import MUON
from signopt.conformance.oracle.rules.signum import SIGNUM
from signopt.conformance.oracle.rules.spectral_decay import SPECTRAL_DECAY
from signopt.conformance.oracle.rules.stochastic_rounding import STOCHASTIC_ROUNDING
from signopt.conformance.oracle.rules.tiger import TIGER

__all__ = [
    "ELEMENTWISE",
    "NO_DEFAULT",
    "OPTIMIZERS",
    "RULES",
    "SCALE_FREE",
    "SIGN_RULES",
    "Approach",
    "Discrimination",
    "Hyper",
    "Optimizer",
    "Rule",
    "SignRule",
]

RULES: Mapping[str, Rule] = {
    rule.name: rule for rule in (LION, SIGNUM, TIGER, MUON, SPECTRAL_DECAY, STOCHASTIC_ROUNDING)
}

OPTIMIZERS: tuple[str, ...] = tuple(name for name, rule in RULES.items() if isinstance(rule, Optimizer))
"""The rules that step parameters."""

SIGN_RULES: tuple[str, ...] = tuple(name for name, rule in RULES.items() if isinstance(rule, SignRule))
"""The rules that step by ±rate, and share a judge."""

ELEMENTWISE: tuple[str, ...] = tuple(
    name for name, rule in RULES.items() if isinstance(rule, SignRule) and rule.elementwise
)
"""The sign rules under which every element goes its own way, whatever its tensor."""

SCALE_FREE: tuple[str, ...] = tuple(
    name for name, rule in RULES.items() if isinstance(rule, SignRule) and rule.scale_free
)
"""The sign rules for which the size of gradients and momentum does not matter, only their proportion."""
