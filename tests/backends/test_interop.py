"""Arrays of other libraries are updated in their own memory, or refused with a reason."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import signopt
from tests.backends.cupy_device import needs_cupy
from tests.bits import DTYPES, assert_same_bits, random_triple

OPTIMIZERS = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
RULES = pytest.mark.parametrize("rule", OPTIMIZERS)


def as_numpy(tensor):
    from signopt.backends._interop import numpy_view

    return numpy_view(tensor)


def tensors(dtype, seed=0):
    """A contiguous, a transposed and a 0-d torch tensor, and NumPy copies of them."""
    torch = pytest.importorskip("torch")
    values = [random_triple(shape, np.float32, seed + i)[0] for i, shape in enumerate([(65,), (7, 5), ()])]
    made = [torch.tensor(value).to(getattr(torch, np.dtype(dtype).name)) for value in values]
    made[1] = made[1].T
    return made, [as_numpy(tensor).copy() for tensor in made]


def marks(dtype, backend, rule):
    """Numba compiles Tiger for seconds; for float16 no other test of every run needs it."""
    return [pytest.mark.thorough] if (dtype, backend, rule) == (np.float16, "auto", "tiger") else []


@pytest.mark.parametrize(
    ("dtype", "backend", "rule"),
    [
        pytest.param(*case, id="-".join((case[0].__name__, *case[1:])), marks=marks(*case))
        for case in itertools.product(DTYPES, ["auto", "numpy"], OPTIMIZERS)
    ],
)
@pytest.mark.one_in(4)
def test_torch_tensors_are_updated_in_place(dtype, backend, rule):
    params, copies = tensors(dtype)
    opt = OPTIMIZERS[rule](params, backend=backend)
    assert opt.backend in ("numpy", "numba")
    reference = OPTIMIZERS[rule](copies, backend="portable")
    places = [param.data_ptr() for param in params]
    for seed in (10, 20):
        grads, grad_copies = tensors(dtype, seed)
        opt.step(grads)
        reference.step(grad_copies)
    for name, param in opt.params.items():
        assert param is params[int(name)]
        assert_same_bits(as_numpy(param), reference.params[name])
        assert_same_bits(as_numpy(opt.momentum[name]), reference.momentum[name])
    assert [param.data_ptr() for param in params] == places


def test_torch_parameters_that_require_gradients():
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.ones(3))
    opt = signopt.Lion([weight], lr=0.25)
    (weight * torch.tensor([1.0, -1.0, 0.0])).sum().backward()
    opt.step([weight.grad])
    assert weight.tolist() == [0.75, 1.25, 1.0]


def test_torch_parameters_that_are_given_other_memory():
    torch = pytest.importorskip("torch")
    weight, grad = torch.ones(3), torch.ones(3)
    opt = signopt.Signum([weight], lr=0.25, beta=0.0)
    opt.step([grad])
    weight.data, grad.data = torch.full((3,), 5.0), -torch.ones(3)
    opt.step([grad])
    assert weight.tolist() == [5.25] * 3


def test_torch_tensors_elsewhere():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="'cupy' does not serve torch tensors on device 'cpu'"):
        signopt.Lion([torch.ones(3)], backend="cupy")


class Exported:
    """An array that shows nothing but DLPack."""

    def __init__(self, array, device=None):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device or self.array.__dlpack_device__()


@RULES
def test_dlpack_on_the_cpu(rule):
    param, grad, _ = random_triple(33, np.float32)
    reference = OPTIMIZERS[rule]([param.copy()], backend="portable")
    OPTIMIZERS[rule]([Exported(param)]).step([Exported(grad)])
    reference.step([grad])
    assert_same_bits(param, reference.params["0"])


def test_read_only_dlpack():
    param = np.ones(3)
    param.flags.writeable = False
    with pytest.raises(ValueError, match=r"params\['0'\] is read-only"):
        signopt.Lion([Exported(param)])
    signopt.Lion([np.ones(3)]).step([Exported(param)])


def test_dlpack_on_some_other_device():
    with pytest.raises(TypeError, match=r"params\['0'\] is on DLPack device type 7; only CPU and CUDA"):
        signopt.Lion([Exported(np.ones(3), device=(7, 0))])


def test_neither_array_nor_exporter():
    with pytest.raises(TypeError, match="must be an array"):
        signopt.Lion([object()])


class CudaArray:
    """An array that shows nothing but the CUDA array interface."""

    def __init__(self, array, *, read_only=False):
        self.array, self.read_only = array, read_only

    @property
    def __cuda_array_interface__(self):
        interface = dict(self.array.__cuda_array_interface__)
        return {**interface, "data": (interface["data"][0], self.read_only)}


@needs_cupy
@RULES
@pytest.mark.parametrize("export", [CudaArray, Exported])
def test_cuda_memory_is_updated_in_place(rule, export):
    import cupy

    values, gradient, _ = random_triple((9, 7), np.float32)
    param = cupy.asarray(values)
    opt = OPTIMIZERS[rule]([export(param)])
    reference = OPTIMIZERS[rule]([values.copy()], backend="portable")
    assert opt.backend == "cupy"
    for _ in range(2):
        opt.step([export(cupy.asarray(gradient))])
        reference.step([gradient])
    assert_same_bits(param.get(), reference.params["0"])


@needs_cupy
def test_read_only_cuda_memory():
    import cupy

    with pytest.raises(ValueError, match=r"params\['w'\] is read-only"):
        signopt.Lion({"w": CudaArray(cupy.ones(3), read_only=True)})
    signopt.Lion({"w": cupy.ones(3)}).step({"w": CudaArray(cupy.ones(3), read_only=True)})


@needs_cupy
def test_cpu_gradients_for_cuda_parameters():
    import cupy

    opt = signopt.Lion([cupy.ones(3)])
    with pytest.raises(TypeError, match="one array library"):
        opt.step([np.ones(3)])


def test_cuda_memory_without_cupy(monkeypatch):
    monkeypatch.setattr("signopt.backends._interop.find_spec", lambda name: None)
    exporter = Exported(np.ones(3), device=(2, 0))
    with pytest.raises(ModuleNotFoundError, match=r"params\['0'\] is in CUDA memory.*pip install 'signopt\[cupy\]'"):
        signopt.Lion([exporter])


@needs_cupy
@pytest.mark.parametrize("export", [CudaArray, lambda array: Exported(array, device=(2, 0))])
def test_cuda_memory_without_a_device(export, monkeypatch):
    import cupy

    exporter = export(cupy.ones(3))
    monkeypatch.setattr(cupy.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"params\['0'\] is in CUDA memory, but CuPy finds no CUDA device"):
        signopt.Lion([exporter])
