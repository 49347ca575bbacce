"""A thousand steps along one gradient, of which only the end is looked at: what has a longer period than others see."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.values import Array, asked, settings, spectrum
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.session import Run, Session

__all__ = ["endures"]

STEPS = 1030
BETA = 1 - 2.0**-10
"""So near to 1 that most of what a thousand steps have added is still there."""


def endures(s: Session) -> None:
    """The momentum after `STEPS` equal gradients is what they add up to, and the next step is that of the rule.

    Every step may round the momentum, and what it rounds stays, so nothing is said of momenta of 16 bits.
    """
    with asked(s):
        grad = spectrum(s, (2, 2))
        wanted = {} if "beta" in s.habits.fixed else {"beta": BETA}
        run = s.start({"w": s.array(np.zeros((2, 2)))}, settings(s, **wanted))
        for _ in range(STEPS):
            s.driver.step({"w": grad.copy()})
        params, momenta = run.read()
        if momenta is None or s.habits.precision(s.storage, format_of(momenta["w"].dtype)).momentum_rounding:
            return
        _compared(s, run, grad.astype(np.float64), momenta["w"].astype(np.float64))
        run.param, run.shown = params, momenta
        run.memory = {"w": Momentum.shown(momenta["w"], format_of(momenta["w"].dtype))}
        run.step({"w": spectrum(s, (2, 2))})


def _compared(s: Session, run: Run, g: Array, m: Array) -> None:
    """The momentum within the roundings of all steps of what a form that the port may have gives."""
    beta, size = float(run.hyper["beta"]), np.abs(g)
    kept = 1 - beta**STEPS
    unit = s.habits.precision(s.storage, s.storage).elementwise
    s.result.judged += m.size
    for form in {forms.momentum for forms in s.habits.learnt.forms}:
        whole = kept * g if form == "ema" else kept / (1 - beta) * g if beta < 1 else STEPS * g
        if np.all(np.abs(m - whole) <= STEPS * 9 * unit * (np.abs(whole) + 2 * size)):
            return
    s.fail(f"the momentum after {STEPS} steps along one gradient is not what they add up to", tensor="w")
