"""A reader of the vectors, as a port's author writes one from their description: decodes them and judges outcomes."""

import copy
import functools
import math

import numpy as np

from signopt.conformance.oracle.formats import format_of
from signopt.conformance.protocol.wire import decode_arrays, decode_float


def hyper_of(vector):
    """The hyperparameters of a vector, or of a step that changes them."""
    hyper = dict(vector["hyper"])
    for key in ("lr", "beta", "weight_decay", "shrink", "eps"):
        if key in hyper:
            hyper[key] = decode_float(hyper[key])
    if "betas" in hyper:
        hyper["betas"] = tuple(decode_float(beta) for beta in hyper["betas"])
    if "ns_coefficients" in hyper:
        hyper["ns_coefficients"] = numbers_of(hyper["ns_coefficients"])
    if hyper.get("schedule") is not None:
        hyper["schedule"] = {step: decode_float(factor) for step, factor in hyper["schedule"]}
    return hyper


def numbers_of(spelled):
    """A triple, or a list of triples."""
    return decode_float(spelled) if isinstance(spelled, str) else [numbers_of(each) for each in spelled]


def admits(alternatives, value, dtype):
    if math.isnan(value):
        return "nan" in alternatives
    return any(low <= value <= high for low, high in (ends(text, dtype) for text in alternatives))


@functools.cache
def ends(text, dtype):
    if text == "nan":
        return math.nan, math.nan
    size = format_of(dtype).bytes
    bits = np.array([int(end, 16) for end in (text.split("..") * 2)[:2]], f"u{size}")
    return tuple(bits.view(format_of(dtype).dtype).astype(np.float64).tolist())


def applies(vector, declared):
    """Whether a port with these declarations is meant by the vector."""
    required = dict(vector["requires"])
    names = required.pop("roles", None)
    if names and names not in declared.get("roles", ["given", "names"]):
        return False
    if vector["hyper"].get("roles") is not None and "given" not in declared.get("roles", ["given", "names"]):
        return False
    defaults = {"nan": "propagate", "subnormals": "keep", "momentum_form": "ema", "eps_form": "add"}
    return all(declared.get(key, defaults[key]) == value for key, value in required.items())


class Legal:
    """The legal outcomes of one array, as arrays: a row for each element, a column for each range."""

    def __init__(self, allowed, dtype):
        width = max(map(len, allowed), default=0)
        ranges = [[ends(text, dtype) for text in row] + [(math.nan, math.nan)] * (width - len(row)) for row in allowed]
        self.low, self.high = np.moveaxis(np.array(ranges, np.float64).reshape(len(allowed), width, 2), 2, 0)
        self.nan = np.array(["nan" in row for row in allowed], bool)

    def has(self, array):
        values = np.asarray(array).astype(np.float64).ravel()
        assert values.shape == self.nan.shape
        inside = (self.low <= values[:, None]) & (values[:, None] <= self.high)
        return bool((inside.any(axis=1) | (np.isnan(values) & self.nan)).all())


class Ready:
    """A vector with its numbers decoded once, for all the ports that are held against it."""

    def __init__(self, vector, dtype):
        self.vector, self.hyper, self.params = vector, hyper_of(vector), decode_arrays(vector["params"])
        self.momentum = decode_arrays(vector["momentum"]) if "momentum" in vector else None
        self.steps = [
            (
                hyper_of(step) if "hyper" in step else None,
                decode_arrays(step.get("set", {})),
                decode_arrays(step["grads"]),
                {
                    slot: {name: Legal(allowed, dtype) for name, allowed in step[slot].items()}
                    for slot in ("params", "momentum")
                },
            )
            for step in vector["steps"]
        ]


def passes(port, ready):
    """Whether a port gives legal outcomes; None where it refuses the vector's momentum or an edge."""
    try:
        port.init(*copy.deepcopy((ready.params, ready.hyper, ready.momentum)))
    except (NotImplementedError, ValueError):
        return None
    for hyper, new, right_grads, legal in ready.steps:
        if hyper is not None:
            port.configure(dict(hyper))
        for name, values in new.items():
            port.p[name][...] = values
        grads = {name: grad.copy() for name, grad in right_grads.items()}
        port.step(grads)
        if {name: grad.tobytes() for name, grad in grads.items()} != {n: g.tobytes() for n, g in right_grads.items()}:
            return False
        for slot, arrays in (("params", port.params()), ("momentum", port.momentum())):
            if arrays is not None and not all(each.has(arrays[name]) for name, each in legal[slot].items()):
                return False
    return True
