"""One step of Muon held against the suite's exact oracle and its proven radius."""

import numpy as np

from signopt.conformance.oracle.formats import FORMATS, compute_format
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.law import Forms, Known, expect
from signopt.conformance.oracle.muon.units import Precision

DEFAULTS = {
    "lr": 1e-3,
    "beta": 0.95,
    "weight_decay": 0.1,
    "nesterov": True,
    "ns_coefficients": (3.4445, -4.7750, 2.0315),
    "ns_steps": 5,
    "eps": 1e-7,
    "adjust_lr_fn": "original",
}


def expected_step(param, grad, momentum, ns_dtype=None, **hyper):
    """What the oracle expects of arrays of any supported dtypes, with hyperparameters of the rule.

    ``ns_dtype`` is that of the iteration, the compute dtype by default.
    """
    storage = FORMATS[param.dtype.name]
    kept, compute = FORMATS[momentum.dtype.name], compute_format(storage)
    iteration = FORMATS[ns_dtype] if ns_dtype else compute
    precision = Precision(storage, kept, compute, iteration, scaled=True)
    wide = [array.astype(np.float64) for array in (param, grad, momentum)]
    return expect(wide[0], wide[1], Known.shown(wide[2]), DEFAULTS | hyper, Forms(), precision)


def over_radius(step, new_param, new_momentum):
    """How far a step went, as a fraction of the distances allowed: above 1 it is wrong."""
    moved = np.abs((Block.of(new_param.astype(np.float64)) - step.param).floats())
    kept = np.abs((Block.of(new_momentum.astype(np.float64)) - step.momentum.value).floats())
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [np.nan_to_num(moved / step.param_slack), np.nan_to_num(kept / step.momentum.slack)]
    norm = float(np.linalg.norm(moved)) / step.param_norm if step.param_norm else float(moved.any())
    return max(norm, *(float(ratio.max(initial=0.0)) for ratio in ratios))
