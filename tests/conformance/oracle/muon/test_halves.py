"""16-bit storage: what may pass through it between float32 arithmetic, and what may not."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, hide_momentum
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.muon_forms import narrow, stored
from signopt.conformance.numpy_ports.pieces import bfloat16
from signopt.conformance.numpy_ports.variant import variant

HALVES = ("float16", "bfloat16")
SHORT = ["identity/look-ahead", "identity/rate", "polynomial/mixed"]


def port(variants, key):
    return next(each for each in variants["muon"] if each.id == key)()


def verdict(judged, dtype):
    return check(judged, dtypes=[dtype], only=SHORT, diagnose=False).verdict


class EitherWay(MuonPort):
    """The momentum read back from its storage in every second step."""

    declared: ClassVar[Any] = {"dtypes": [*HALVES]}

    def update(self, name, p, g, m):
        """One step of one tensor."""
        self.now = self.m[name].dtype if self.t % 2 else p.dtype
        return super().update(name, p, g, m)

    def remember(self, m, g):
        """The new momentum."""
        return super().remember(m, g).astype(self.now).astype(m.dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("key", ["stored-x", "stored-u"])
def test_what_is_orthogonalised_has_the_bits_of_the_arithmetic(key, dtype):
    assert verdict(port(MUTANTS, key), dtype) == "fail"


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("key", ["halves", "halves-read-back", "momentum-kept-wide"])
def test_a_momentum_may_be_read_back_or_not(key, dtype):
    judged = port(RIGHT_PORTS, key)
    judged.declared = {**judged.declared, "dtypes": [*HALVES]}
    assert verdict(judged, dtype) == "pass"
    assert verdict(hide_momentum(judged), dtype) == "pass"


def test_a_port_may_choose_anew_in_each_step():
    assert verdict(EitherWay(), "bfloat16") == "pass"


QUINTIC = [
    (4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
]  # fmt: skip


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("look", "expected"), [(None, "pass"), (lambda self, m, g, fresh: g + fresh, "fail")])
@pytest.mark.one_in(4)
def test_another_orthogonaliser_in_16_bits_must_turn_when_the_look_ahead_does(look, expected, dtype, storage):
    declared = {"ns_dtype": dtype, "orthogonalizer": [0.9, 1.15], "dtypes": [storage]}
    pieces = {
        **stored(dtype),
        "triples": lambda self: QUINTIC,
        "declared": declared,
        **({"look": look} if look else {}),
    }
    judged = variant("muon", "quintic", "another polynomial", dtypes=(storage,), **pieces)()
    only = ["turning/look-ahead", "iteration/default"]
    assert check(judged, dtypes=[storage], only=only, diagnose=False).verdict == expected


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    ("key", "check_id"),
    [
        ("momentum-reset-every-thousandth", "identity/many-steps"),
        ("momentum-scale-off", "identity/sizes"),
        ("decay-small-dropped", "identity/smallest-decay"),
        ("coefficients-decimals", "polynomial/digits"),
    ],
)
@pytest.mark.one_in(4)
def test_what_is_smaller_than_a_spacing_shows_all_the_same(key, check_id, dtype):
    for judged, expected in ((port(MUTANTS, key), "fail"), (port(RIGHT_PORTS, "halves"), "pass")):
        judged.declared = {**judged.declared, "dtypes": [dtype]}
        assert check(judged, dtypes=[dtype], only=[check_id], diagnose=False).verdict == expected


@pytest.mark.parametrize("dtype", HALVES)
def test_an_iteration_in_16_bits_is_the_same_at_every_step(dtype):
    wrong = narrow(port(MUTANTS, "steps-first-only"), dtype)
    for judged, expected in ((wrong, "fail"), (port(RIGHT_PORTS, dtype), "pass")):
        assert check(judged, dtypes=["float32"], only=["polynomial/steps"], diagnose=False).verdict == expected


def test_a_momentum_goes_through_no_narrower_format_than_is_declared():
    class Through(MuonPort):
        """Kept in float16, by way of bfloat16."""

        declared: ClassVar[Any] = {"dtypes": ["bfloat16"], "momentum_dtype": "float16"}

        def init(self, params, hyper, momentum=None):
            """Momenta of float16."""
            super().init(params, hyper, momentum)
            self.m = {name: m.astype("float16") for name, m in self.m.items()}

        def remember(self, m, g):
            """The new momentum."""
            fresh = super().remember(m, g)
            return fresh.astype(self.by).astype(m.dtype)

    for by, expected in (("float16", "pass"), ("bfloat16", "fail")):
        judged = Through()
        judged.by = by
        assert verdict(judged, "bfloat16") == expected


def in_bfloat16(**pieces):
    """A port of float32 whose iteration is stored in bfloat16, with other pieces."""
    declared = {"ns_dtype": "bfloat16", **pieces.pop("declared", {})}
    whole = {**stored("bfloat16"), **pieces, "declared": declared}
    return variant("muon", "other", "other pieces", dtypes=("float32",), **whole)()


def outcome(judged, check_id):
    return check(judged, dtypes=["float32"], only=[check_id], diagnose=False).verdict


@pytest.mark.parametrize(("applications", "expected"), [(3, "pass"), (1, "fail")])
def test_an_iteration_that_rounds_at_random_differs_from_step_to_step_by_so_much_and_no_more(applications, expected):
    """heavyball rounds what it has normalised stochastically; a wrong one applies the polynomial less often later."""
    random = np.random.default_rng(0)

    def at_random(self, x):
        bits = MuonPort.normalise(self, x).astype("float32").view(np.uint32)
        up = random.integers(0, 1 << 16, bits.shape, np.uint32)
        return ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32)

    def steps(self):
        asked = MuonPort.steps(self)
        return min(asked, applications) if asked == 3 and self.t > 1 else asked

    assert outcome(in_bfloat16(normalise=at_random, steps=steps), "polynomial/steps") == expected


@pytest.mark.parametrize(("sides", "expected"), [({}, "pass"), ({"sides": lambda self, shape: shape[-2:]}, "fail")])
def test_a_scale_from_the_sides_of_a_kernel_is_seen_with_five_applications_in_16_bits(sides, expected):
    fixed = {"fixed": ["ns_coefficients", "ns_steps"]}
    assert outcome(in_bfloat16(declared=fixed, **sides), "iteration/axes") == expected


@pytest.mark.parametrize(("times", "expected"), [(1, "pass"), (4, "fail")])
def test_a_step_that_is_scaled_in_16_bits_may_underflow_there(times, expected):
    """gram-newton-schulz multiplies X by the rate in bfloat16, where a rate of 1e-39 has five bits."""

    def move(self, p, x, lr, wd):
        return p - bfloat16(x * np.float32(times * lr)) - np.float32(lr * wd) * p

    assert outcome(in_bfloat16(move=move), "identity/subnormal") == expected


@pytest.mark.parametrize("key", ["param-flushed", "gradient-flushed"])
def test_what_is_flushed_shows_beside_an_iteration_in_16_bits(key):
    assert outcome(narrow(port(MUTANTS, key), "bfloat16"), "identity/subnormal") == "fail"
