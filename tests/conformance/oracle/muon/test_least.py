"""The least that a radius can be: what is within it is accepted before the radius is known, so it must be no larger."""

from __future__ import annotations

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.numpy_ports import RIGHT_PORTS, declaring
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.oracle.muon import law, radius
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.radius import enclose
from signopt.conformance.oracle.muon.units import Precision

JORDAN = (3.4445, -4.7750, 2.0315)
CHECKS = ["identity/norm", "identity/epsilon", "polynomial/mixed", "iteration/default", "iteration/vectors"]


@pytest.mark.parametrize("iteration", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("triple", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), JORDAN])
@pytest.mark.one_in(4)
def test_it_is_no_larger_than_the_radius(iteration, triple):
    random = np.random.default_rng(0)
    precision = Precision.plain("float64" if iteration == "float64" else "float32", iteration)
    for shape in ((1, 1), (1, 4), (4, 1), (3, 3), (5, 2)):
        for u in (random.standard_normal(shape), np.zeros(shape), 1e-30 * random.standard_normal(shape)):
            for count in range(6):
                for error in (0.0, 1e-9, 1e-3):
                    found = enclose(Block.of(u), error, [triple] * count, 1e-7, "add", precision)
                    assert 0 <= found.least <= found.radius
                    assert bool(found.least) == bool(found.radius)


def outcomes(port):
    return [result.to_dict() for result in check(port, only=CHECKS, dtypes=["float32"]).checks]


class Rough(MuonPort):
    """Within the radius in some matrices and outside of it in others."""

    def iterate(self, x):
        """The iterate with an error of some units."""
        return super().iterate(x) * x.dtype.type(1 + 2.0**-21)


@pytest.mark.parametrize("port", [MuonPort, Rough])
def test_reports_do_not_depend_on_it(port, monkeypatch):
    quick = outcomes(port())
    monkeypatch.setattr(radius, "_least", lambda *rest: 1e-300)
    law._cached.cache_clear()
    assert outcomes(port()) == quick
    law._cached.cache_clear()


def test_a_right_port_seldom_needs_the_radius(monkeypatch):
    asked = []
    monkeypatch.setattr(radius, "_carried", lambda *rest, whole=radius._carried: (asked.append(1), whole(*rest))[1])
    port = declaring(MuonPort(), momentum_form="ema", eps_form="add")
    assert check(port, only=CHECKS[-2:], dtypes=["float64"], seed=12345).verdict == "pass"
    assert len(asked) <= 2


def test_what_is_fixed_is_named_in_the_order_of_the_check():
    port = next(each for each in RIGHT_PORTS["muon"] if each.id == "svd")()
    [result] = check(port, only=["identity/norm"], dtypes=["float32"]).checks
    assert result.reason == "ns_coefficients is fixed, and the check needs another"
