"""What a step on CuPy arrays asks of the device: launches, uploads, streams, graphs, strides, and errors."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import signopt
from tests.backends.cupy_device import host_device, needs_cupy, no_errors, skip_without
from tests.bits import assert_same_bits, random_triple
from tests.thin import diagonal, keeping

pytestmark = needs_cupy
__all__ = ["host_device", "no_errors"]

OPTIMIZERS = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
RULES = pytest.mark.parametrize("rule", OPTIMIZERS)
HOST_TO_DEVICE = 1


def arrays(shapes, dtype="float32", seed=0):
    import cupy

    made = [random_triple(shape, dtype, seed + i)[:2] for i, shape in enumerate(shapes)]
    return [cupy.asarray(param) for param, _ in made], [cupy.asarray(grad) for _, grad in made]


def alongside(rule, params, **options):
    """The same optimizer on NumPy copies, by the rule itself."""
    import cupy

    return OPTIMIZERS[rule]([cupy.asnumpy(param) for param in params], backend="portable", **options)


def assert_equal_state(opt, reference):
    import cupy

    for name, param in opt.params.items():
        assert_same_bits(cupy.asnumpy(param), reference.params[name])
        assert_same_bits(cupy.asnumpy(opt.momentum[name]), reference.momentum[name])


@pytest.mark.parametrize("tensors", [1, 148, 1000])
@pytest.mark.parametrize(("rule", "launches"), [("lion", 1), ("signum", 1), ("tiger", 3)])
def test_launches_do_not_grow_with_the_number_of_tensors(rule, launches, tensors, host_device):
    params, grads = arrays([(3,)] * tensors)
    options = {"roles": ["matrix"] + ["bias"] * (tensors - 1)} if rule == "tiger" else {}
    opt = OPTIMIZERS[rule](params, **options)
    for _ in range(2):
        host_device.reset_log()
        opt.step(grads)
        assert len(host_device.launches) == launches


def test_one_launch_per_pair_of_dtypes(host_device):
    narrow, narrow_grads = arrays([(5,), (70,)], "float16")
    wide, wide_grads = arrays([(5,), (70,)], "float64")
    opt = signopt.Lion(narrow + wide)
    host_device.reset_log()
    opt.step(narrow_grads + wide_grads)
    assert len(host_device.launches) == 2


@RULES
def test_a_step_on_the_same_gradients_only_launches(rule, host_device):
    params, grads = arrays([(3, 4)] * 20)
    opt = OPTIMIZERS[rule](params)
    opt.step(grads)
    host_device.reset_log()
    opt.step(grads)
    assert (host_device.copies, host_device.allocations, host_device.synchronisations) == ([], 0, 0)


def calls_of(function):
    """How many functions, of Python and of C, are called in a call of ``function``."""
    calls = []
    sys.setprofile(lambda frame, event, argument: calls.append(event) if event in ("call", "c_call") else None)
    try:
        function()
    finally:
        sys.setprofile(None)
    return len(calls)


@RULES
@pytest.mark.parametrize("fresh", [False, True])
def test_the_host_does_not_go_through_the_tensors_one_by_one(rule, fresh, host_device):
    """Whatever is asked of each of them is asked in one go; a call for each costs more than the whole step on a GPU."""
    counted = []
    host_device.run_kernels = False
    for tensors in (10, 200):
        params, grads = arrays([(4,)] * tensors)
        opt = OPTIMIZERS[rule](params)
        opt.step(grads)
        given = [grad.copy() for grad in grads] if fresh else grads
        counted.append(calls_of(lambda: opt.step(given)))  # noqa: B023
    host_device.run_kernels = True
    assert counted[1] - counted[0] < 190 // 2


def test_an_array_of_cupy_keeps_its_memory_dtype_and_strides():
    """That its shape is what it was is all that a step looks at, of arrays that it has seen before."""
    (array,), _ = arrays([(4, 3)])
    for name in ("data", "dtype", "strides"):
        with pytest.raises(AttributeError):
            setattr(array, name, getattr(array, name))
    with pytest.raises(AttributeError):
        array.data.ptr = 0


@RULES
def test_new_gradients_cost_one_upload_of_their_addresses(rule, host_device):
    params, grads = arrays([(3, 4)] * 20)
    reference = alongside(rule, params)
    opt = OPTIMIZERS[rule](params)
    for seed in range(3):
        _, grads = arrays([(3, 4)] * 20, seed=100 * seed)
        host_device.reset_log()
        opt.step(grads)
        if seed:
            assert host_device.copies == [(HOST_TO_DEVICE, 20 * 8)]
            assert (host_device.allocations, host_device.synchronisations) == (0, 0)
        reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


def strided_views(base):
    """Views of one 12 × 10 array in which no axis is where a contiguous array has it."""
    import cupy

    return [base.T, base[::2, 1::3], base[::-1], base[:, ::-1][3:7], cupy.moveaxis(base.reshape(3, 4, 10), 0, 2)]


@pytest.mark.parametrize(
    ("rule", "dtype", "which"),
    diagonal(
        OPTIMIZERS,
        ["float64", "float16", "float32"],
        ["param", "grad", "both"],
        also=lambda *case: case[2] == "both" and case[1] == "float32",
    ),
)
def test_any_strides(rule, dtype, which, no_errors):
    options = {} if rule != "tiger" else {"roles": ["matrix", "embedding", "bias", "scale", "embedding"]}
    many, many_grads = arrays([(12, 10)] * 5, dtype)
    params = [strided_views(param)[i] for i, param in enumerate(many)]
    grads = [strided_views(grad)[i] for i, grad in enumerate(many_grads)]
    if which == "grad":
        params = [param.copy() for param in params]
    if which == "param":
        grads = [grad.copy() for grad in grads]
    opt, reference = OPTIMIZERS[rule](params, **options), alongside(rule, params, **options)
    for _ in range(2):
        opt.step(grads)
        reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


@RULES
def test_strided_updates_write_nothing_else(rule):
    (base,), (grad,) = arrays([(12, 10)])
    before = base.get()
    opt = OPTIMIZERS[rule]([base[::2, 1::3]])
    opt.step([grad[::2, 1::3]])
    after = base.get()
    assert (after[::2, 1::3] != before[::2, 1::3]).all()
    after[::2, 1::3] = before[::2, 1::3]
    assert_same_bits(after, before)


def test_a_gradient_at_the_same_address_with_other_strides():
    (param,), (grad,) = arrays([(6, 6)])
    opt, reference = signopt.Lion([param]), alongside("lion", [param])
    for view in (grad, grad.T, grad):
        opt.step([view])
        reference.step([view.get()])
    assert_equal_state(opt, reference)


@RULES
def test_scalars_and_empty_arrays(rule, no_errors):
    params, grads = arrays([(), (0, 3), (4, 0), (1,), ()])
    opt, reference = OPTIMIZERS[rule](params), alongside(rule, params)
    for _ in range(2):
        opt.step(grads)
        reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


@RULES
def test_only_empty_arrays(rule, host_device):
    params, grads = arrays([(0,), (0, 3)])
    OPTIMIZERS[rule](params).step(grads)
    assert not host_device.launches


@RULES
def test_hyperparameters_may_change_between_steps(rule):
    params, grads = arrays([(33,), (5, 5)])
    opt, reference = OPTIMIZERS[rule](params), alongside(rule, params)
    for lr in (0.1, 0.01, 0.0):
        opt.lr = reference.lr = lr
        opt.step(grads)
        reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


def test_state_moves_between_devices():
    params, grads = arrays([(33,)])
    opt, reference = signopt.Lion(params), alongside("lion", params)
    opt.step(grads)
    reference.step([grads[0].get()])
    again = signopt.Lion([params[0].copy()])
    again.load_state_dict(opt.state_dict())
    again.step(grads)
    reference.step([grads[0].get()])
    assert_equal_state(again, reference)


@RULES
def test_work_goes_to_the_current_stream(rule, host_device):
    import cupy

    params, grads = arrays([(7,)])
    opt = OPTIMIZERS[rule](params)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        opt.step(grads)
    assert {launch.stream for launch in host_device.launches if "signopt" in launch.name} == {stream.ptr}


@RULES
def test_a_step_can_be_captured_and_replayed(rule):
    import cupy

    params, grads = arrays([(70,), (5, 6)])
    opt, reference = OPTIMIZERS[rule](params), alongside(rule, params)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        opt.step(grads)
        stream.begin_capture()
        opt.step(grads)
        graph = stream.end_capture()
        for seed in (1, 2):
            for grad, values in zip(grads, arrays([(70,), (5, 6)], seed=seed)[1], strict=True):
                grad[...] = values
            graph.launch(stream)
        stream.synchronize()
    reference.step([grad.get() for grad in arrays([(70,), (5, 6)])[1]])
    for seed in (1, 2):
        reference.step([grad.get() for grad in arrays([(70,), (5, 6)], seed=seed)[1]])
    assert_equal_state(opt, reference)


def test_a_graph_keeps_its_gradients_when_other_ones_are_used_afterwards():
    import cupy

    params, grads = arrays([(70,)])
    _, others = arrays([(70,)], seed=9)
    opt, reference = signopt.Lion(params), alongside("lion", params)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        opt.step(grads)
        stream.begin_capture()
        opt.step(grads)
        graph = stream.end_capture()
        opt.step(others)
        graph.launch(stream)
        opt.step(others)
        stream.synchronize()
    for gradient in (grads, others, grads, others):
        reference.step([gradient[0].get()])
    assert_equal_state(opt, reference)


def test_new_gradients_during_a_capture_are_refused(no_errors):
    import cupy

    params, grads = arrays([(70,)])
    _, others = arrays([(70,)], seed=9)
    opt = signopt.Lion(params)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        opt.step(grads)
        before = params[0].get(), opt.momentum["0"].get()
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="take one step with these gradient arrays before the capture"):
            opt.step(others)
        stream.end_capture()
    assert_same_bits(params[0].get(), before[0])
    assert_same_bits(opt.momentum["0"].get(), before[1])
    assert opt.step_count == 1


def assert_step_changes_nothing(opt, grads, error, match):
    before = [(param.get(), opt.momentum[name].get()) for name, param in opt.params.items()]
    steps = opt.step_count
    with pytest.raises(error, match=match):
        opt.step(grads)
    for (param, momentum), name in zip(before, opt.params, strict=True):
        assert_same_bits(opt.params[name].get(), param)
        assert_same_bits(opt.momentum[name].get(), momentum)
    assert opt.step_count == steps


@RULES
def test_out_of_memory_leaves_everything_as_it_was(rule, host_device):
    params, grads = arrays([(300,), (20, 30)])
    opt, reference = OPTIMIZERS[rule](params), alongside(rule, params)
    host_device.memory_limit = 0
    with pytest.raises(MemoryError, match="nothing was updated"):
        opt.step(grads)
    host_device.errors.clear()
    host_device.memory_limit = 1 << 32
    assert_equal_state(opt, reference)
    assert opt.step_count == 0
    opt.step(grads)
    reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


def mixed_parameters():
    """Arrays of two dtypes and one that is strided, with gradients, so that a step needs several tables and a copy."""
    import cupy

    (first, second), (first_grad, second_grad) = arrays([(300,), (20, 30)])
    (half,), (half_grad,) = arrays([(17, 5)], "float16")
    strided = cupy.asarray(second_grad.get().repeat(2, axis=1))[:, ::2]
    return [first, second, half], [first_grad, strided, half_grad]


@pytest.mark.parametrize(
    ("rule", "rounding"),
    [
        ("lion", "nearest"),
        ("tiger", "stochastic"),
        pytest.param("lion", "stochastic", marks=pytest.mark.slow),
        pytest.param("signum", "nearest", marks=pytest.mark.slow),
        pytest.param("signum", "stochastic", marks=pytest.mark.slow),
        pytest.param("tiger", "nearest", marks=pytest.mark.slow),
    ],
)
def test_whichever_allocation_fails_nothing_is_updated(rule, rounding, host_device):
    params, grads = mixed_parameters()
    if rounding == "stochastic":
        params, grads = params[2:], grads[2:]
    options = {"rounding": rounding, "seed": 3} if rounding == "stochastic" else {}
    failures = 0
    while True:
        opt = OPTIMIZERS[rule]([param.copy() for param in params], **options)
        reference = alongside(rule, params, **options)
        host_device.allocations_left = failures
        try:
            opt.step(grads)
        except MemoryError:
            host_device.allocations_left = None
            host_device.errors.clear()
            assert_equal_state(opt, reference)
            assert opt.step_count == 0
            opt.step(grads)
            failures += 1
        succeeded = host_device.allocations_left is not None
        host_device.allocations_left = None
        reference.step([grad.get() for grad in grads])
        assert_equal_state(opt, reference)
        if succeeded:
            break
    assert failures >= 2


@pytest.mark.parametrize(
    ("rule", "kernel"),
    [
        ("lion", "signopt_lion"),
        ("signum", "signopt_signum"),
        ("tiger", "signopt_tiger_lanes"),
        ("tiger", "signopt_tiger_folds"),
        ("tiger", "signopt_tiger"),
    ],
)
def test_a_launch_that_fails_leaves_everything_as_it_was(rule, kernel, host_device):
    params, grads = arrays([(300,), (20, 30)])
    opt, reference = OPTIMIZERS[rule](params), alongside(rule, params)
    host_device.fail_launches_of = kernel
    assert_step_changes_nothing(opt, grads, RuntimeError, f"{kernel} on float32 arrays failed, nothing was updated")
    host_device.fail_launches_of = None
    host_device.errors.clear()
    opt.step(grads)
    reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


def test_a_later_launch_that_fails_says_what_was_updated(host_device):
    """Arrays that are not contiguous have a launch of their own, which comes second here."""
    params, grads = arrays([(30,), (5, 6)])
    params[1] = params[1].T
    opt, reference = signopt.Lion(params), alongside("lion", params[:1])
    host_device.fail_launches_of = "signopt_lion_strided"
    with pytest.raises(RuntimeError, match="lion on strided float32 arrays failed, already updated: float32 arrays:"):
        opt.step([grads[0], grads[1].T])
    host_device.errors.clear()
    reference.step([grads[0].get()])
    assert_same_bits(params[0].get(), reference.params["0"])
    assert opt.step_count == 0


@pytest.mark.parametrize(("rule", "kernels"), keeping([("lion", 1), ("signum", 1), ("tiger", 3)], [("lion", 1)]))
def test_a_device_with_too_few_registers_for_the_last_kernel(rule, kernels, monkeypatch):
    import cupy

    narrow, narrow_grads = arrays([(30,)], "float16")
    wide, wide_grads = arrays([(30,)], "float32")
    opt = OPTIMIZERS[rule](narrow + wide)
    limits = iter([1024] * (2 * kernels - 1) + [128])
    monkeypatch.setattr(cupy.cuda.driver, "funcGetAttribute", lambda attribute, function: next(limits))
    assert_step_changes_nothing(opt, narrow_grads + wide_grads, RuntimeError, "needs 256 threads to a block.* 128")


def test_a_kernel_that_does_not_compile(monkeypatch):
    from signopt.backends import _cuda_compile

    source = _cuda_compile._source
    monkeypatch.setattr(_cuda_compile, "_source", lambda name: source(name).replace("struct Lion", "strct Lion"))
    _cuda_compile.compile_kernels.cache_clear()
    _cuda_compile._load_module.cache_clear()
    params, grads = arrays([(3,)], "float64")
    assert_step_changes_nothing(
        signopt.Lion(params), grads, RuntimeError, r"could not compile lion.cu for float64.*\n.*lion.cu"
    )


def test_without_nvrtc(monkeypatch):
    from cupy_backends.cuda.libs import nvrtc

    from signopt.backends import _cuda_compile

    def missing():
        raise RuntimeError("libnvrtc.so.13: cannot open shared object file")

    monkeypatch.setattr(nvrtc, "getVersion", missing)
    _cuda_compile.compile_kernels.cache_clear()
    _cuda_compile._load_module.cache_clear()
    params, grads = arrays([(3,)])
    assert_step_changes_nothing(signopt.Lion(params), grads, RuntimeError, r"pip install 'signopt\[cupy\]'")


def test_arrays_on_two_devices(host_device):
    import cupy

    params, grads = arrays([(3,), (3,)])
    with cupy.cuda.Device(1):
        elsewhere = [cupy.zeros(3, dtype=cupy.float32)]
    with pytest.raises(ValueError, match="device"):
        signopt.Lion([params[0], *elsewhere])
    opt = signopt.Lion(params)
    assert_step_changes_nothing(opt, [grads[0], *elsewhere], ValueError, "device")


def test_arrays_on_the_second_device(host_device):
    import cupy

    with cupy.cuda.Device(1):
        params, grads = arrays([(300,), (20, 30)])
        opt, reference = signopt.Tiger(params), alongside("tiger", params)
    opt.step(grads)
    reference.step([grad.get() for grad in grads])
    assert_equal_state(opt, reference)


def test_tiger_reads_no_whole_parameter_to_see_that_it_will_move(host_device):
    import cupy

    params, _ = arrays([(40, 30)] * 2)
    host_device.reset_log()
    signopt.Tiger({"kernel": params[0], "embeddings": params[1]})
    assert not any("any" in launch.name or "all" in launch.name for launch in host_device.launches)
    params[1][7] = 0
    with pytest.warns(UserWarning, match=r"'kernel' \(whole\), 'embeddings' \(1 of its rows\)"):
        signopt.Tiger({"kernel": cupy.zeros_like(params[0]), "embeddings": params[1]})


def test_which_backend_serves_cupy_arrays():
    params, _ = arrays([(3,)])
    assert signopt.Lion(params).backend == "cupy"
    assert signopt.Lion(params, backend="cupy").backend == "cupy"
    assert signopt.Lion(params, backend="portable").backend == "portable"
    with pytest.raises(TypeError, match="NumPy arrays only"):
        signopt.Lion(params, backend="numpy")
    with pytest.raises(TypeError, match="CuPy arrays only"):
        signopt.Lion([np.zeros(3)], backend="cupy")


@pytest.mark.parametrize("rule", ["lion", "signum", "tiger"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.one_in(4)
def test_pure_functions_on_cupy_arrays(rule, dtype):
    """CuPy's own kernels flush float32 subnormals to zero, so there are none here."""
    import cupy
    import ml_dtypes

    skip_without(dtype)
    for values in random_triple((17, 5), np.dtype(getattr(ml_dtypes, dtype, dtype))), nan_and_zero(dtype):
        right = getattr(signopt, rule)(*values)
        for array, expected in zip(getattr(signopt, rule)(*map(cupy.asarray, values)), right, strict=True):
            assert_same_bits(cupy.asnumpy(array), expected)


def nan_and_zero(dtype):
    import ml_dtypes

    grid = np.meshgrid(*[[0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan]] * 3)
    return [axis.ravel().astype(getattr(ml_dtypes, dtype, dtype)) for axis in grid]


def test_a_gradient_in_the_memory_of_a_parameter_is_refused():
    import cupy

    both = cupy.ones(8, dtype=cupy.float32)
    opt = signopt.Lion([both[:4]])
    opt.step([both[4:]])
    assert_step_changes_nothing(opt, [both[2:6]], ValueError, "overlap in memory")


def test_a_backwards_gradient_in_the_memory_of_a_parameter_is_refused():
    """It begins at its highest address: seen after gradients that run forwards, and after some that run backwards."""
    import cupy

    both = cupy.ones(16, dtype=cupy.float32)
    opt = signopt.Lion([both[4:8]])
    for apart in (both[8:12], both[11:7:-1], both[3::-1]):
        opt.step([apart])
        for overlapping in (both[10:6:-1], both[4:0:-1]):
            assert_step_changes_nothing(opt, [overlapping], ValueError, "overlap in memory")


def test_gradients_between_the_elements_of_a_parameter():
    import cupy

    both = cupy.ones(16, dtype=cupy.float32)
    opt, reference = signopt.Lion([both[::2]]), alongside("lion", [both[::2]])
    for _ in range(2):
        opt.step([both[1::2]])
        reference.step([np.ones(8, np.float32)])
    assert_equal_state(opt, reference)
    assert_same_bits(both[1::2].get(), np.ones(8, np.float32))


@pytest.mark.parametrize("view", [lambda grad: grad, lambda grad: grad.T.copy().T])
def test_new_gradients_are_recognised_without_a_look_at_each(view, monkeypatch):
    params, grads = arrays([(4, 3)] * 20)
    opt = signopt.Lion(params)
    opt.step([view(grad) for grad in grads])

    def looked(*_):
        raise AssertionError("looked at each gradient")

    monkeypatch.setattr(opt._binding, "_checked", looked)
    opt.step([view(grad) for grad in grads])
    opt.step([view(grad.copy()) for grad in grads])


@pytest.mark.parametrize(
    ("damage", "error", "match"),
    [
        (lambda grad: None, TypeError, "'13'.* is None"),
        (lambda grad: grad.get(), TypeError, "'13'.* one array library"),
        (lambda grad: grad.astype("float64"), TypeError, "'13'.* float64"),
        (lambda grad: grad.view("int32"), TypeError, "'13'.* int32"),
        (lambda grad: grad[:, :2], ValueError, r"'13'.* \(4, 2\)"),
        (lambda grad: grad.reshape(3, 4), ValueError, r"'13'.* \(3, 4\)"),
        (lambda grad: grad[None], ValueError, r"'13'.* \(1, 4, 3\)"),
    ],
)
def test_one_unfit_gradient_among_many(damage, error, match):
    params, grads = arrays([(4, 3)] * 20)
    opt = signopt.Lion(params)
    opt.step(grads)
    fresh = [grad.copy() for grad in grads]
    fresh[13] = damage(fresh[13])
    assert_step_changes_nothing(opt, fresh, error, match)
