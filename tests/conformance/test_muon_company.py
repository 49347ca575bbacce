"""Wrong Muons that are right alone, or at most sizes: each is caught by the check that was made for its kind."""

from __future__ import annotations

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.mutants.muon_blocks import BLOCKS
from signopt.conformance.mutants.muon_company import COMPANY
from signopt.conformance.numpy_ports.muon import MuonPort

CAUGHT_BY = {
    "gradient-large-rescaled": "handed/untouched",
    "gradient-object-remembered": "matrices/twins",
    "momentum-given-sorted": "matrices/names",
    "momentum-given-by-place": "matrices/names",
    "momentum-given-as-stored": "handed/parameters",
    "momentum-shared-by-matrix": "matrices/twins",
    "momentum-shared-by-lower-case": "matrices/names",
    "momentum-shared-by-underscore": "matrices/names",
    "momentum-slot-by-place": "matrices/absent",
    "momentum-small-dropped": "carried/tiny",
    "nan-cleaned-if-wide": "spreading/nan-gradient",
    "nan-cleaned-of-axes": "spreading/nan-gradient",
    "nan-poisons-momentum": "spreading/nan-gradient",
    "nan-halts-momentum": "spreading/nan-gradient",
    "param-infinite-clamped": "spreading/parameter",
    "x-buffer-shared": "matrices/twins",
    "table-8": "matrices/names",
    "table-64": "matrices/forty",
    "table-110": "matrices/forty",
    "gram-last-block-16-lost": "polynomial/large-sides",
    "gram-last-block-64-lost": "polynomial/large-sides",
    "gram-last-block-128-lost": "polynomial/large-sides",
    "gram-first-kept": "polynomial/sides",
    "product-over-itself": "polynomial/sides",
    "fixed-rows-lost": "polynomial/sides",
    "fixed-product-over-itself": "polynomial/sides",
    "iteration-bfloat16-aligned-8": "polynomial/sides",
    "iteration-bfloat16-aligned-16": "polynomial/sides",
    "singular-values-absolute": "polynomial/crossed",
    "fused-side-by-side": "iteration/scale",
    "axes-leading-one-dropped": "iteration/axes",
    "steps-capped-15": "polynomial/steps",
    "triples-capped-8": "polynomial/list",
    "triples-in-one-cycle": "polynomial/list",
    "steps-late-one-less": "iteration/several",
    "chunk-last-1024-skipped": "identity/large",
    "chunk-4096-undecayed": "identity/large",
    "momentum-chunk-forgotten": "identity/large",
}


def test_every_one_of_them_has_its_check():
    assert set(CAUGHT_BY) == {key for key, *_ in (*COMPANY, *BLOCKS)}


@pytest.mark.parametrize(("key", "identifier"), CAUGHT_BY.items())
def test_it_is_caught(key, identifier):
    variant = next(each for each in MUTANTS["muon"] if each.id == key)
    assert check(variant(), dtypes=["float32"], only=[identifier], diagnose=False).verdict == "fail"


@pytest.mark.parametrize("key", ["norm-of-gradient", "norm-of-momentum"])
def test_the_norm_of_something_else_is_not_divided_out_again(key):
    variant = next(each for each in MUTANTS["muon"] if each.id == key)
    only = ["identity/norm", "identity/look-ahead"]
    assert check(variant(), dtypes=["float32"], only=only, diagnose=False).verdict == "fail"


class Narrow(MuonPort):
    """Parameters of float64, the momentum in float32."""

    declared = {"momentum_dtype": "float32"}  # noqa: RUF012

    def init(self, params, hyper, momentum=None):
        super().init(params, hyper, momentum)
        self.m = {name: m.astype(np.float32) for name, m in self.m.items()}


def test_a_momentum_declared_as_float32_need_not_hold_what_only_float64_can():
    assert check(Narrow(), dtypes=["float64"], only=["iteration/range"]).verdict == "pass"


class Settled(MuonPort):
    """A β that cannot change between steps."""

    def configure(self, hyper):
        if hyper["beta"] != self.hyper["beta"]:
            raise ValueError("beta is settled at the start")
        super().configure(hyper)


def test_a_beta_may_be_settled_at_the_start():
    report = check(Settled(), dtypes=["float32"], only=["changed/beta"])
    assert report.verdict == "pass"
    assert "refuses changing beta" in report.checks[0].notes[0]
