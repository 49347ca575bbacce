"""Every check against right and wrong ports, and the report that comes of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from signopt.conformance import check, parametrize
from signopt.conformance.checks import REGISTRY
from signopt.conformance.suite import select
from tests.long_checks import LONG
from tests.thin import keeping


class Lion:
    """The smallest right port, in the order of the paper."""

    rule = "lion"

    def describe(self):
        return {"name": type(self).__name__, "rule": self.rule}

    def init(self, params, hyper, momentum=None):
        self.hyper = hyper
        self.p = {name: array.copy() for name, array in params.items()}
        self.m = {name: (np.zeros_like(a) if momentum is None else momentum[name]) for name, a in params.items()}

    def step(self, grads):
        for name, grad in grads.items():
            self.p[name], self.m[name] = self.update(self.p[name], grad, self.m[name])

    def update(self, p, g, m):
        one = p.dtype.type
        (b1, b2), lr, wd = self.hyper["betas"], self.hyper["lr"], self.hyper["weight_decay"]
        c = one(b1) * m + one(1 - b1) * g
        moved = p - one(lr) * (np.sign(c) + one(wd) * p)
        return moved.reshape(p.shape), (one(b2) * m + one(1 - b2) * g).reshape(p.shape)

    def params(self):
        return self.p

    def momentum(self):
        return self.m


class NoMomentum(Lion):
    def update(self, p, g, m):
        return super().update(p, g, m)[0], m


class Junk(Lion):
    def params(self):
        return dict.fromkeys(self.p, "not an array")


class Raises(Lion):
    def step(self, grads):
        raise RuntimeError("out of luck")


class Undescribed(Lion):
    def describe(self):
        return None


def test_a_right_port_passes_and_every_check_ran():
    report = check(Lion())
    assert report.verdict == "pass", report.to_dict()
    assert report.counts["failed"] == report.counts["not_run"] == 0
    assert {c.id for c in report.checks} == {c.id for c in REGISTRY.values() if c.applies("lion", "standard")}


def test_a_wrong_port_fails_and_the_report_says_where():
    report = check(NoMomentum(), only=["momentum"])
    assert report.verdict == "fail"
    first = report.failures[0]
    assert first.quantity == "momentum"
    assert first.message == "the momentum was not written"
    assert float.fromhex(first.inputs["g"])
    assert float.fromhex(first.got) == float.fromhex(first.inputs["m"])
    json.dumps(report.to_dict())


@pytest.mark.parametrize(("port", "text"), [(Junk(), "not a NumPy array"), (Raises(), "out of luck")])
def test_a_port_that_breaks_is_reported_and_never_raises(port, text):
    report = check(port, profile="core")
    assert report.verdict == "fail"
    assert report.counts["failed"] >= 10
    assert all(text in result.failures[0].message for result in report.checks if result.failures)


def test_a_port_without_description_could_not_run():
    report = check(Undescribed())
    assert report.verdict == "undecided"
    assert "could not run" in report.obstacles[0]


def test_stated_deviations_must_fail():
    failing = {c.id: "known" for c in check(NoMomentum(), "core", diagnose=False).checks if c.status == "failed"}
    report = check(NoMomentum(), "core", deviations=failing)
    assert report.verdict == "pass"
    assert report.counts["deviating"] > 0
    report = check(Lion(), "core", deviations={"step/exact": "known", "step/none": "known"})
    assert report.verdict == "fail"
    assert len(report.errors) == 2


@parametrize(Lion(), profile="core")
def test_each_check_as_a_test(check):
    check()


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_port_is_never_judged_by_the_run_before(every):
    port, short = Lion(), [each.id for each in select("lion", "standard") if each.id not in LONG][::every]
    first, second = (check(port, only=short, dtypes=["float32"], seed=3).to_dict() for _ in range(2))
    assert first == second


class Hidden(Lion):
    def momentum(self):
        return None


class Unsettable(Lion):
    def init(self, params, hyper, momentum=None):
        if momentum is not None:
            raise NotImplementedError
        super().init(params, hyper)


class HiddenUnsettable(Hidden, Unsettable):
    pass


class SwappedHidden(HiddenUnsettable):
    def update(self, p, g, m):
        self.hyper = {**self.hyper, "betas": self.hyper["betas"][::-1]}
        moved = super().update(p, g, m)
        self.hyper = {**self.hyper, "betas": self.hyper["betas"][::-1]}
        return moved


class NoMomentumHidden(HiddenUnsettable, NoMomentum):
    pass


class NarrowedHidden(HiddenUnsettable):
    def update(self, p, g, m):
        moved, kept = super().update(p, g, m)
        return moved, kept.astype(np.float16).astype(p.dtype)


READING = ["momentum", "step", "betas", "tensors"]


@pytest.mark.parametrize("port", keeping([Hidden, Unsettable, HiddenUnsettable], [HiddenUnsettable]))
def test_a_momentum_that_is_hidden_or_cannot_be_set_is_no_fault(port):
    report = check(port(), only=READING, dtypes=["float32"], seed=5)
    assert report.verdict == "pass", report.to_dict()


@pytest.mark.parametrize("port", [SwappedHidden, NoMomentumHidden, NarrowedHidden])
def test_a_wrong_momentum_shows_through_later_signs(port):
    report = check(port(), only=READING, dtypes=["float32"], seed=5, diagnose=False)
    assert {f.quantity for f in report.failures} == {"param"}
    assert any(result.id == "momentum/remembers" and result.failures for result in report.checks)


class RefusesEdges(Lion):
    def init(self, params, hyper, momentum=None):
        if hyper["lr"] == 0 or 0 in hyper["betas"]:
            raise ValueError("lr and betas must be positive")
        super().init(params, hyper, momentum)


def test_refusing_an_edge_of_the_domain_is_reported_and_is_no_fault():
    report = check(RefusesEdges(), only=["step/rate-zero", "betas/zero", "step/exact"], dtypes=["float32"])
    statuses = {result.id: result.status for result in report.checks}
    assert statuses == {"step/exact": "passed", "step/rate-zero": "not_applicable", "betas/zero": "not_applicable"}
    assert "lr and betas must be positive" in report.checks[-1].reason
    assert report.verdict == "pass"


class RefusesAll(Lion):
    def init(self, params, hyper, momentum=None):
        raise ValueError("not today")


def test_a_port_that_refuses_ordinary_input_fails():
    assert check(RefusesAll(), dtypes=["float32"]).verdict == "fail"


class Keeps(Lion):
    """Changes the caller's gradient, and keeps a reference to it."""

    def step(self, grads):
        super().step(grads)
        for grad in grads.values():
            grad *= 2


def test_a_changed_gradient_is_found():
    report = check(Keeps(), only=["inputs/gradient-untouched"], dtypes=["float64"])
    assert report.failures[0].message == "the port changed the caller's gradient"


class Strict(Lion):
    def describe(self):
        return {**super().describe(), "decay": "bracket", "form": "mul-add"}


class StrictWrong(Strict):
    def describe(self):
        return {**super().describe(), "form": "lerp"}


@pytest.mark.parametrize(("port", "verdict"), [(Strict, "pass"), (StrictWrong, "fail"), (Lion, "undecided")])
def test_the_strict_profile_holds_a_port_to_its_declared_bits(port, verdict):
    assert check(port(), "strict", only=["strict"]).verdict == verdict


def test_strict_without_a_declaration_did_not_run():
    assert {result.status for result in check(Lion(), "strict", only=["strict"]).checks} == {"not_run"}


def test_profiles_contain_each_other():
    sizes = [sum(c.applies("tiger", profile) for c in REGISTRY.values()) for profile in ("core", "standard", "strict")]
    assert sizes == sorted(set(sizes))


def test_every_check_says_what_it_proves():
    assert all(c.proves.endswith(".") and "/" in c.id for c in REGISTRY.values())
