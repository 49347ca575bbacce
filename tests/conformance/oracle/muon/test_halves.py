"""16-bit storage: what may pass through it between float32 arithmetic, and what may not."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, hide_momentum
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.muon_forms import narrow, stored
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
