"""Several optimizers as one: a step, a load, and a file are those of all groups or of none."""

import copy
import gc
import pickle
import signal
import threading
import time

import numpy as np
import pytest

import signopt
from tests.bits import assert_same_bits, random_triple

SHAPES = {"kernel": (5, 4), "embeddings": (6, 3), "bias": (4,), "gamma": (4,)}
MEMBERS = {"kernel": "matrices", "embeddings": "tables", "bias": "rest", "gamma": "rest"}


def weights(dtype=np.float32):
    return {name: random_triple(shape, dtype, seed)[0] for seed, (name, shape) in enumerate(SHAPES.items())}


def gradients(step, dtype=np.float32):
    return {name: random_triple(shape, dtype, 50 + step)[1] for name, shape in SHAPES.items()}


def optimizers(params, backend="auto"):
    of = {group: {n: p for n, p in params.items() if MEMBERS[n] == group} for group in ("matrices", "tables", "rest")}
    return {
        "matrices": signopt.Muon(of["matrices"], lr=0.02, weight_decay=0.1, schedule={3: 1.0}, backend=backend),
        "tables": signopt.Tiger(of["tables"], lr=0.05, accumulation_steps=2, backend=backend),
        "rest": signopt.Signum(of["rest"], lr=0.01, backend=backend),
    }


def groups(params=None, backend="auto"):
    return signopt.Groups(**optimizers(weights() if params is None else params, backend))


def arrays(opt):
    return {(what, name): a for what in ("params", "momentum") for name, a in getattr(opt, what).items()}


def snapshot(opt):
    counts = [opt.step_count, *(opt[group].step_count for group in opt)]
    return {key: array.copy() for key, array in arrays(opt).items()}, counts


def assert_as(opt, before):
    for key, array in arrays(opt).items():
        assert_same_bits(array, before[0][key])
    assert [opt.step_count, *(opt[group].step_count for group in opt)] == before[1]


def assert_alike(one, other):
    for key, array in arrays(one).items():
        assert_same_bits(array, arrays(other)[key])


@pytest.mark.parametrize("frozen", [["bias"], ["kernel", "gamma"], ("bias", "gamma"), set(SHAPES), ()])
@pytest.mark.parametrize("given", ["mapping without them", "mapping with None", "sequence"])
def test_frozen_parameters_of_any_group_stay(frozen, given):
    opt = groups()
    opt.step(gradients(0))
    alone = copy.deepcopy(opt)
    before = snapshot(opt)
    for step in range(1, 4):
        grads = gradients(step)
        kept = {name: grad for name, grad in grads.items() if name not in frozen}
        forms = {
            "mapping without them": kept,
            "mapping with None": {name: kept.get(name) for name in grads},
            "sequence": [kept.get(name) for name in opt.params],
        }
        opt.step(forms[given], frozen=frozen)
        for group in alone:
            own = {name: grad for name, grad in kept.items() if name in alone[group].params}
            alone[group].step(own, frozen=[name for name in frozen if name in alone[group].params])
    assert_alike(opt, alone)
    assert opt.step_count == 4
    for (what, name), array in before[0].items():
        assert (name in frozen) == np.array_equal(arrays(opt)[what, name], array), name


@pytest.mark.parametrize(("frozen", "error"), [("bias", TypeError), (["bais"], ValueError)])
def test_what_is_frozen_must_be_names(frozen, error):
    opt = groups()
    before = snapshot(opt)
    with pytest.raises(error, match="frozen"):
        opt.step(gradients(0), frozen=frozen)
    assert_as(opt, before)


@pytest.mark.parametrize("backend", ["portable", "numpy", "numba"])
def test_a_step_is_a_step_of_each(backend):
    params, alone = weights(), weights()
    opt, parts = groups(params, backend), optimizers(alone, backend)
    for step in range(5):
        grads = gradients(step)
        opt.step(grads if step % 2 else [grads[name] for name in opt.params])
        for part in parts.values():
            part.step({name: grads[name] for name in part.params})
        for name in SHAPES:
            assert_same_bits(params[name], alone[name])
    assert opt.step_count == 5
    assert all(opt.params[name] is array for name, array in params.items())
    assert opt.momentum["bias"] is opt["rest"].momentum["bias"]


def test_libraries_may_differ():
    torch = pytest.importorskip("torch")
    array, tensor = np.ones(3), torch.ones(3)
    opt = signopt.Groups(a=signopt.Lion({"a": array}, lr=0.5), b=signopt.Lion({"b": tensor}, lr=0.25))
    for _ in range(2):
        opt.step({"b": torch.ones(3), "a": np.ones(3)})
    assert (array.tolist(), tensor.tolist()) == ([0.0] * 3, [0.5] * 3)
    with pytest.raises(TypeError, match="one array library"):
        opt.step({"a": np.ones(3), "b": np.ones(3)})
    assert array.tolist() == [0.0] * 3


BAD = {
    "missing": (lambda g: {n: a for n, a in g.items() if n != "gamma"}, ValueError, "missing: 'gamma'"),
    "extra": (lambda g: {**g, "w": np.ones(1)}, ValueError, "not expected: 'w'"),
    "None in the last group": (lambda g: {**g, "gamma": None}, TypeError, r"params\['gamma'\] is None"),
    "a shape in the last group": (lambda g: {**g, "gamma": np.ones(3, np.float32)}, ValueError, r"\(3,\)"),
    "a dtype in the first group": (lambda g: {**g, "kernel": np.ones((5, 4))}, TypeError, "float64"),
    "by group": (lambda g: {"matrices": g, "tables": g, "rest": g}, ValueError, "not expected: 'matrices'"),
    "short": (lambda g: list(g.values())[:3], ValueError, "3 arrays for 4"),
}


@pytest.mark.parametrize(("change", "error", "words"), BAD.values(), ids=BAD)
def test_a_bad_gradient_updates_no_group(change, error, words):
    opt = groups()
    opt.step(gradients(0))
    before = snapshot(opt)
    with pytest.raises(error, match=words):
        opt.step(change(gradients(1)))
    assert_as(opt, before)


def test_a_schedule_that_fails_updates_no_group():
    opt = groups()
    opt.step(gradients(0))
    before = snapshot(opt)
    opt["rest"].schedule = lambda step: 1 / 0
    with pytest.raises(ZeroDivisionError):
        opt.step(gradients(1))
    assert_as(opt, before)


def test_a_schedule_that_steps_another_group_updates_no_group():
    opt = groups()
    before = snapshot(opt)
    opt["rest"].schedule = lambda step: opt["matrices"].step([gradients(0)["kernel"]])
    with pytest.raises(RuntimeError, match="in the midst of a step"):
        opt.step(gradients(0))
    assert_as(opt, before)
    opt["rest"].schedule = None
    opt.step(gradients(0))


def test_arrays_of_groups_may_not_overlap():
    base = np.ones(10)
    with pytest.raises(ValueError, match=r"params\['a'\] and params\['b'\] overlap"):
        signopt.Groups(one=signopt.Lion({"a": base[:6]}), two=signopt.Lion({"b": base[4:]}))
    one = signopt.Lion({"a": base[:5]})
    with pytest.raises(ValueError, match=r"momentum\['a'\].* overlap"):
        signopt.Groups(one=one, two=signopt.Lion({"b": one.momentum["a"]}))


def test_a_gradient_may_not_overlap_what_another_group_writes():
    base = np.ones(10)
    opt = signopt.Groups(one=signopt.Lion({"a": base[:5]}), two=signopt.Lion({"b": base[5:]}))
    fine = {"a": np.ones(5), "b": np.ones(5)}
    wrong = [{**fine, "a": base[5:]}, {**fine, "b": opt["one"].momentum["a"]}, {**fine, "a": base[5:].view()}]
    for grads in (*wrong, fine, *wrong, fine):
        before = snapshot(opt)
        if grads is fine:
            opt.step(grads)
            assert opt.step_count == before[1][0] + 1
        else:
            with pytest.raises(ValueError, match=r"grads\['[ab]'\].* overlap|overlap"):
                opt.step(grads)
            assert_as(opt, before)


def test_memory_that_comes_to_overlap_is_seen():
    torch = pytest.importorskip("torch")
    one, two = torch.ones(4), torch.ones(4)
    opt = signopt.Groups(one=signopt.Lion({"a": one}), two=signopt.Lion({"b": two}))
    grads = {"a": torch.ones(4), "b": torch.ones(4)}
    opt.step(grads)
    two.data = one
    with pytest.raises(ValueError, match=r"params\['a'\] and params\['b'\] overlap"):
        opt.step(grads)
    assert opt.step_count == 1


def test_momenta_are_exchanged_between_groups_by_value():
    opt = signopt.Groups(one=signopt.Lion({"a": np.ones(3)}), two=signopt.Lion({"b": np.ones(3)}))
    opt.momentum["a"][...], opt.momentum["b"][...] = 2.0, 5.0
    state = opt.state_dict()
    state["groups"]["one"]["momentum"] = {"a": opt.momentum["b"]}
    state["groups"]["two"]["momentum"] = {"b": opt.momentum["a"]}
    opt.load_state_dict(state)
    assert (opt.momentum["a"].tolist(), opt.momentum["b"].tolist()) == ([5.0] * 3, [2.0] * 3)


def through_memory(opt, folder):
    other = groups({name: param.copy() for name, param in opt.params.items()})
    other.load_state_dict(opt.state_dict())
    return other


def through_file(opt, folder):
    other = groups({name: param.copy() for name, param in opt.params.items()})
    signopt.save(opt, folder / "state")
    signopt.load(other, folder / "state")
    return other


@pytest.mark.parametrize(
    "carry",
    [
        through_memory,
        through_file,
        lambda opt, folder: copy.deepcopy(opt),
        lambda opt, folder: pickle.loads(pickle.dumps(opt)),
    ],
    ids=["memory", "file", "deepcopy", "pickle"],
)
def test_a_resumed_run_is_the_run(carry, tmp_path):
    opt = groups()
    for step in range(3):
        opt.step(gradients(step))
    opt["rest"].lr = 0.125
    resumed = carry(opt, tmp_path)
    for step in range(3, 7):
        opt.step(gradients(step))
        resumed.step(gradients(step))
    assert_alike(opt, resumed)
    assert resumed.step_count == 7
    assert resumed["rest"].lr == 0.125
    assert not any(np.shares_memory(a, arrays(resumed)[key]) for key, a in arrays(opt).items())


@pytest.mark.parametrize("carry", [through_memory, through_file], ids=["memory", "file"])
def test_groups_of_every_rounding_resume(carry, tmp_path, monkeypatch):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16

    def rounding_groups(params):
        own = {name: {name: param} for name, param in params.items()}
        return signopt.Groups(
            split=signopt.Lion(own["kernel"], lr=1e-4, rounding="split"),
            random=signopt.Signum(own["bias"], lr=1e-4, rounding="stochastic", seed=7),
        )

    def few(step):
        return {name: grad for name, grad in gradients(step, bfloat16).items() if name in ("kernel", "bias")}

    monkeypatch.setitem(globals(), "groups", rounding_groups)
    opt = rounding_groups({name: np.ones(SHAPES[name], bfloat16) for name in ("kernel", "bias")})
    for step in range(4):
        opt.step(few(step))
    resumed = carry(opt, tmp_path)
    for step in range(4, 30):
        opt.step(few(step))
        resumed.step(few(step))
    assert_alike(opt, resumed)
    assert not (opt.params["kernel"] == 1).all()


def damaged(change):
    state = groups().state_dict()
    change(state)
    return state


STATES = {
    "of one optimizer": (lambda s: s.update(signopt.Lion([np.ones(2)]).state_dict()), ValueError, "saved by 'lion'"),
    "without a group": (lambda s: s["groups"].pop("rest"), ValueError, "other names than the groups; missing: 'rest'"),
    "another rule": (lambda s: s["groups"]["rest"].update(rule="lion"), ValueError, "group 'rest': .*'lion'"),
    "another shape": (
        lambda s: s["groups"]["rest"]["momentum"].update(bias=np.ones(3, np.float32)),
        ValueError,
        r"group 'rest': .*\(3,\)",
    ),
    "a number": (lambda s: s["groups"]["rest"]["hyper"].update(lr=-1), ValueError, "group 'rest': lr"),
    "no state": (lambda s: s["groups"].update(rest=None), TypeError, "group 'rest': a state is a mapping"),
    "no momentum": (lambda s: s["groups"]["rest"].update(momentum=3), TypeError, "group 'rest': .*momentum"),
    "no mapping of groups": (lambda s: s.update(groups=[1]), TypeError, "groups.* must be a mapping"),
    "a step": (lambda s: s.update(step=-1), ValueError, "step"),
    "a version": (lambda s: s.update(version=7), ValueError, "version 7"),
}


@pytest.mark.parametrize(("change", "error", "words"), STATES.values(), ids=STATES)
def test_a_state_that_does_not_fit_changes_no_group(change, error, words):
    opt = groups()
    opt.step(gradients(0))
    before, state = snapshot(opt), opt.state_dict()
    with pytest.raises(error, match=words):
        opt.load_state_dict(damaged(change))
    assert_as(opt, before)
    assert opt["matrices"].state_dict()["hyper"] == state["groups"]["matrices"]["hyper"]


def test_files_of_groups_and_of_one_are_told_apart(tmp_path):
    opt, one = groups(), signopt.Lion({"kernel": np.ones((5, 4), np.float32)})
    signopt.save(opt, tmp_path / "groups")
    signopt.save(one, tmp_path / "one")
    with pytest.raises(ValueError, match=r"groups cannot be loaded: .*saved by 'groups'"):
        signopt.load(one, tmp_path / "groups")
    with pytest.raises(ValueError, match=r"one cannot be loaded: .*saved by 'lion'"):
        signopt.load(opt, tmp_path / "one")


def test_a_parameter_named_like_a_place_in_the_file(tmp_path):
    names = ["groups/a/momentum/w", "momentum/w", "w"]
    opt = signopt.Groups(**{f"g{i}": signopt.Lion({n: np.ones(2)}) for i, n in enumerate(names)})
    for i, name in enumerate(names):
        opt.momentum[name][...] = i
    signopt.save(opt, tmp_path / "state")
    other = copy.deepcopy(opt)
    for momentum in other.momentum.values():
        momentum[...] = 9
    signopt.load(other, tmp_path / "state")
    assert_alike(opt, other)


MADE_WRONG = {
    "nothing": (dict, ValueError, "there is no group"),
    "no optimizer": (lambda: {"a": [np.ones(2)]}, TypeError, "group 'a' must be an optimizer of signopt, got list"),
    "groups in groups": (lambda: {"a": groups()}, TypeError, "got Groups"),
    "a name twice": (
        lambda: {"a": signopt.Lion([np.ones(2)]), "b": signopt.Lion([np.ones(2)])},
        ValueError,
        "groups 'a' and 'b' both have a parameter named '0'",
    ),
    "a name with a slash": (lambda: {"a/b": signopt.Lion([np.ones(2)])}, ValueError, "no '/', got 'a/b'"),
}


@pytest.mark.parametrize(("make", "error", "words"), MADE_WRONG.values(), ids=MADE_WRONG)
def test_groups_that_cannot_be(make, error, words):
    with pytest.raises(error, match=words):
        signopt.Groups(**make())


def test_groups_are_found_by_name():
    opt = groups()
    assert list(opt) == ["matrices", "tables", "rest"]
    assert len(opt) == 3
    assert "rest" in opt
    assert opt["rest"].rule == "signum"
    with pytest.raises(KeyError, match="no group 'embeddings'; the groups are 'matrices', 'tables', 'rest'"):
        opt["embeddings"]
    with pytest.raises(
        AttributeError, match=r"no hyperparameter 'lr'; set it on a group, as in groups\['matrices'\]\.lr"
    ):
        opt.lr = 0.5
    assert repr(opt).startswith("Groups(\n    matrices=Muon(lr=0.02, ")


@pytest.mark.parametrize("method", ["step", "load_state_dict"])
def test_a_signal_waits_until_all_groups_are_done(method, monkeypatch):
    opt = groups()
    given = gradients(0) if method == "step" else groups().state_dict() | {"step": 1}
    prepare = {"step": "_prepare_step", "load_state_dict": "_prepare_load"}[method]
    inner = getattr(opt["matrices"], prepare)

    def interrupted(*arguments):
        write = inner(*arguments)
        return lambda: (write(), signal.raise_signal(signal.SIGINT))

    opt["matrices"].__dict__[prepare] = interrupted
    with pytest.raises(KeyboardInterrupt):
        getattr(opt, method)(given)
    assert opt.step_count == 1
    assert len({opt[group].step_count for group in opt}) == 1
    if method == "step":
        assert all(momentum.any() for momentum in opt.momentum.values())


@pytest.fixture
def no_collection():
    """Python swallows what is raised in a callback of a collection, with a warning; Hypothesis has such a callback."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("backend", ["portable", "numpy", "numba"])
@pytest.mark.usefixtures("no_collection")
def test_interrupts_at_any_moment_leave_all_groups_or_none(backend):
    big = {name: np.ones((300, 100), np.float32) for name in SHAPES}
    members = optimizers(big, backend)  # of which Muon's product of equal numbers gives unequal ones
    opt = signopt.Groups(**{**members, "matrices": signopt.Lion({"kernel": big["kernel"]}, backend=backend)})
    grads = {name: np.ones_like(param) for name, param in big.items()}
    opt.step(grads)
    began = time.perf_counter()
    opt.step(grads)
    took = time.perf_counter() - began
    armed = False

    def interrupt(*_):
        if armed:
            raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for trial in range(150):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, max(1e-6, 1.2 * took * trial / 150))
                opt.step(grads)
                armed = False
            except KeyboardInterrupt:
                armed = False
                interrupted += 1
            assert len({opt.step_count, *(opt[group].step_count for group in opt)}) == 1
            for array in (*opt.params.values(), *opt.momentum.values()):
                assert (array == array.flat[0]).all()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert interrupted


def test_threads_take_turns():
    opt = groups(backend="portable")
    grads = gradients(0)
    threads = [threading.Thread(target=lambda: [opt.step(grads) for _ in range(20)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [opt.step_count, *(opt[group].step_count for group in opt)] == [60] * 4
