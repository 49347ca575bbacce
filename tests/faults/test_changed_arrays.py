"""Arrays that change after an optimizer has looked at them: bound anew, or refused before anything is written."""

import warnings

import numpy as np
import pytest

import signopt
from signopt import _facts
from tests.backends.cupy_device import host_device, needs_cupy
from tests.bits import assert_same_bits

__all__ = ["host_device"]

BACKENDS = ["portable", "numpy", pytest.param("numba", marks=pytest.mark.filterwarnings("default"))]
ON_EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(params=["structs", "attributes"])
def facts(request, monkeypatch):
    """How facts are gathered: NumPy's structs, or what an interpreter without them has."""
    if request.param == "attributes":
        monkeypatch.setattr(_facts, "_structs_are_known", lambda: False)
    return request.param


def made_with(backend, shape=(2, 3), dtype=np.float32):
    if backend == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    params = {name: np.ones(shape, dtype) for name in ("first", "changed", "last")}
    grads = {name: np.arange(1.0, np.prod(shape) + 1, dtype=dtype).reshape(shape) for name in params}
    opt = signopt.Lion(params, lr=0.25, betas=(0.5, 0.5), backend=backend)
    opt.step(grads)
    return opt, grads


def reshape(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        array.shape = (3, 2)


def reinterpret(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        array.dtype = np.int32


def freeze(array):
    array.setflags(write=False)


def stretch(array):
    """Make it a view of one row, repeated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        array.strides = (0, array.itemsize)


CHANGES = {"shape": reshape, "dtype": reinterpret, "flags": freeze, "strides": stretch}


@ON_EVERY_BACKEND
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("what", ["params", "momentum"])
def test_an_array_that_is_written_is_refused(backend, what, change, facts):
    opt, grads = made_with(backend)
    before = {(w, n): a.copy() for w in ("params", "momentum") for n, a in getattr(opt, w).items()}
    CHANGES[change](getattr(opt, what)["changed"])
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match="changed"):
            opt.step(grads)
    assert opt.step_count == 1
    for (which, name), old in before.items():
        if name != "changed":
            assert_same_bits(getattr(opt, which)[name], old)
    if change == "flags":
        getattr(opt, what)["changed"].setflags(write=True)
        opt.step(grads)
        assert opt.step_count == 2


@ON_EVERY_BACKEND
@pytest.mark.parametrize("change", ["shape", "dtype"])
def test_a_known_gradient_is_looked_at_again(backend, change, facts):
    opt, grads = made_with(backend)
    before = [array.copy() for array in opt.params.values()]
    CHANGES[change](grads["changed"])
    with pytest.raises((TypeError, ValueError), match="changed"):
        opt.step(grads)
    for array, old in zip(opt.params.values(), before, strict=True):
        assert_same_bits(array, old)


@ON_EVERY_BACKEND
@pytest.mark.parametrize(("shape", "strides"), [((4, 4), (4, 16)), ((16,), (0,))])
def test_a_known_gradient_with_other_strides_is_read_anew(backend, shape, strides, facts):
    opt, grads = made_with(backend, shape=shape)
    twin, _ = made_with("portable", shape=shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        grads["changed"].strides = strides
    for each in (opt, twin):
        each.step(grads)
    assert_same_bits(opt.momentum["changed"], twin.momentum["changed"])
    assert not np.array_equal(opt.momentum["changed"], opt.momentum["first"])


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (4, 1, 2)])
def test_facts_hold_until_something_changes(shape, facts):
    arrays = [np.ones(shape), np.ones((3, 5), np.float32).T, np.ones((0, 2))]
    known = _facts.facts_of(arrays)
    arrays[0][...] = 2.0
    assert known.hold(arrays)
    arrays[0].setflags(write=False)
    assert not known.hold(arrays)
    arrays[0].setflags(write=True)
    assert known.hold(arrays)
    assert _facts.addresses_of(arrays).tolist() == [a.__array_interface__["data"][0] for a in arrays]


@ON_EVERY_BACKEND
def test_a_vector_that_an_optimizer_knows_keeps_its_length(backend):
    weight, grad = np.ones(8), np.ones(8)
    opt = signopt.Lion([weight], lr=0.25, backend=backend)
    opt.step([grad])
    for array in (weight, grad, opt.momentum["0"]):
        with pytest.raises(ValueError, match="resize"):
            array.resize((4,), refcheck=False)


@pytest.mark.parametrize(
    ("cut", "strides"), [(np.s_[:4, ::2], (128, 16)), (np.s_[0, :4:2], (32,))], ids=["plane", "vector"]
)
def test_facts_know_strides_that_no_flag_tells_of(cut, strides, facts):
    array = np.ones((8, 8))[cut]
    known = _facts.facts_of([array])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        array.strides = strides
    assert not known.hold([array])


def test_facts_know_other_shapes_wherever_they_are_kept(facts):
    array = np.ones((4, 4))
    known = _facts.facts_of([array])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for shape in [(2, 8), (8, 2)] * 50:
            array.shape = shape
            assert not known.hold([array])


def test_structs_are_what_is_tested():
    assert _facts._structs_are_known()


@ON_EVERY_BACKEND
@pytest.mark.parametrize("change", [lambda w: w.tile(2, 1), lambda w: w[:2], lambda w: w.T])
def test_torch_parameters_that_are_grown_pruned_or_transposed(backend, change):
    torch = pytest.importorskip("torch")
    weight, other = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2))
    opt = signopt.Lion({"other": other, "weight": weight}, lr=0.25, backend=backend)
    opt.step([torch.ones(4, 3)] * 2)
    weight.data = change(weight.data)
    with pytest.raises((TypeError, ValueError), match="weight"):
        opt.step([torch.ones(4, 3), torch.ones(tuple(weight.shape))])
    assert opt.step_count == 1
    assert (other == 0.75).all()


@ON_EVERY_BACKEND
def test_torch_parameters_may_move_to_other_memory(backend):
    torch = pytest.importorskip("torch")
    weight, grad = torch.ones(4, 3), torch.ones(4, 3)
    opt = signopt.Lion({"weight": weight}, lr=0.25, backend=backend)
    opt.step([grad])
    weight.data = torch.full((3, 4), 5.0).T
    opt.step([grad])
    assert (weight == 4.75).all()
    grad.data = -torch.ones(4, 3) * 64
    opt.step([grad])
    assert (weight == 5.0).all()


@ON_EVERY_BACKEND
def test_a_torch_gradient_that_is_given_less_memory(backend):
    torch = pytest.importorskip("torch")
    weight, grad = torch.ones(1000), torch.ones(1000)
    opt = signopt.Lion({"weight": weight}, lr=0.25, backend=backend)
    opt.step([grad])
    grad.data = torch.ones(1)
    with pytest.raises(ValueError, match=r"the gradient of params\['weight'\] has shape \(1,\)"):
        opt.step([grad])
    assert (weight == 0.75).all()


@ON_EVERY_BACKEND
def test_a_module_that_is_cast(backend):
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 2, dtype=torch.float64)
    opt = signopt.Lion(dict(net.named_parameters()), backend=backend)
    opt.step([torch.ones_like(param) for param in net.parameters()])
    net.float()
    with pytest.raises(TypeError, match=r"the momentum of params\['weight'\] has dtype float64"):
        opt.step([torch.ones_like(param) for param in net.parameters()])


@pytest.mark.parametrize("backend", ["portable", "numpy", "auto"])
@pytest.mark.parametrize("change", [freeze, reshape])
def test_low_halves_that_change_are_refused(backend, change):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    opt = signopt.Lion({"w": np.ones((2, 3), bfloat16)}, backend=backend, rounding="split")
    opt.step([np.ones((2, 3), bfloat16)])
    before = opt.params["w"].tobytes()
    change(opt.rests["w"])
    with pytest.raises(ValueError, match=r"rests\['w'\]"):
        opt.step([np.ones((2, 3), bfloat16)])
    assert opt.params["w"].tobytes() == before


@needs_cupy
def test_cupy_arrays_that_change(host_device):
    import cupy

    weight, grad = cupy.ones((2, 3)), cupy.ones((2, 3))
    opt = signopt.Lion({"weight": weight}, lr=0.25)
    opt.step([grad])
    grad.shape = (3, 2)
    with pytest.raises(ValueError, match="weight"):
        opt.step([grad])
    grad.shape = (2, 3)
    opt.step([grad])
    assert (weight.get() == 0.5).all()
    weight.shape = (6,)
    with pytest.raises(ValueError, match="weight"):
        opt.step([grad])


@ON_EVERY_BACKEND
@pytest.mark.one_in(4)
def test_gradients_that_only_the_rule_has_seen_are_not_taken_for_known(backend):
    """A step over shards is taken by the rule itself; the backend has then still to look at those gradients."""
    if backend == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    params, twins = [np.ones(7)], [np.ones(7)]
    opt, twin = (signopt.Tiger({"w": p[0]}, lr=0.25, backend=b) for p, b in ((params, backend), (twins, "portable")))
    first, second = {"w": np.ones(7)}, {"w": np.full(7, -64.0)}
    for each in (opt, twin):
        each.step(first)
        each.step(first)
        each.step(second, facts={"w": signopt.tiger_facts(each.params["w"], second["w"])})
        each.step(second)
    assert_same_bits(opt.momentum["w"], twin.momentum["w"])
    assert_same_bits(params[0], twins[0])
