"""A thousand steps along one gradient, of which only the end is looked at: what has a longer period than others see."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.values import Array, asked, settings, spectrum
from signopt.conformance.oracle.formats import Format, format_of
from signopt.conformance.session import Run, Session

__all__ = ["endures"]

STEPS = 1030
SLOW, QUICK = 1 - 2.0**-10, 0.95
"""SLOW: most of what a thousand steps have added is still there. QUICK: so is what 16 bits can hold of it."""
OUTLIER = 300.0
"""The size of a gradient that is no reason to step otherwise."""


def endures(s: Session) -> None:
    """The momentum after `STEPS` equal gradients is what they add up to, and the next steps are those of the rule."""
    with asked(s):
        grad = spectrum(s, (2, 2))
        narrow = bool(s.habits.precision(s.storage, _storage(s)).momentum_rounding)
        wanted = {} if "beta" in s.habits.fixed else {"beta": QUICK if narrow else SLOW}
        run = s.start({"w": s.array(np.zeros((2, 2)))}, settings(s, **wanted))
        for _ in range(STEPS):
            s.driver.step({"w": grad.copy()})
        params, momenta = run.read()
        if momenta is None:
            return
        _compared(s, run, grad.astype(np.float64), momenta["w"].astype(np.float64))
        run.go_on_from(params, momenta)
        for size in (1.0, OUTLIER, 1.0):
            run.step({"w": spectrum(s, (2, 2), size=size)})


def _storage(s: Session) -> Format:
    return format_of(s.habits.momentum_dtype) if s.habits.momentum_dtype else s.storage


def _compared(s: Session, run: Run, g: Array, m: Array) -> None:
    """The momentum within the roundings of all steps, as far as they are kept, of a form that the port may have."""
    beta, precision = float(run.hyper["beta"]), s.habits.precision(s.storage, _storage(s))
    kept = 1 - beta**STEPS
    added = kept / (1 - beta) if beta < 1 else float(STEPS)
    s.result.judged += m.size
    for form in {forms.momentum for forms in s.habits.learnt.forms}:
        whole = kept * g if form == "ema" else added * g
        each = 9 * precision.elementwise * (np.abs(whole) + 2 * np.abs(g)) + precision.momentum_rounding * np.abs(whole)
        if np.all(np.abs(m - whole) <= 1.1 * added * each):
            return
    s.fail(f"the momentum after {STEPS} steps along one gradient is not what they add up to", tensor="w")
