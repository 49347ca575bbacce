"""torch tensors in the memory that the CUDA kernels update: seen as CuPy arrays, and gradients as they are."""

from __future__ import annotations

import numpy as np
import pytest

import signopt
from signopt.backends import select
from signopt.backends._interop import cupy_view, numpy_view, sharing_memory, torch_stream
from signopt.optimizer import _binding
from tests.backends.cupy_device import DEVICE, host_device, needs_cupy, no_errors, on_gpu
from tests.bits import assert_same_bits, random_triple

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = [needs_cupy, pytest.mark.usefixtures("no_errors")]
__all__ = ["host_device", "no_errors"]
PLACE = "cuda" if on_gpu() else "cpu"
OPTIMIZERS = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}


@pytest.fixture(autouse=True)
def shared(monkeypatch):
    """Without a GPU torch's tensors of the CPU are updated by the host device, whose memory is the same."""
    from signopt.backends.cupy import CupyBackend

    options = (torch_stream,) if on_gpu() else ()
    backend = sharing_memory(CupyBackend, lambda tensor: cupy_view(lent(tensor)), *options)
    monkeypatch.setattr(_binding, "select", lambda name, params: backend if name == "auto" else select(name, params))
    yield
    if DEVICE is not None:
        DEVICE.lent.clear()


def lent(tensor):
    """``tensor``, whose memory the host device may use from now on."""
    if DEVICE is not None:
        storage = tensor.untyped_storage()
        DEVICE.lent[storage.data_ptr()] = storage.nbytes()
    return tensor


def made(dtype, seed):
    """A contiguous, a transposed and a 0-d tensor, an empty one, and rows cut out of a larger one."""
    shapes = [(65,), (7, 5), (), (0, 3), (6, 8)]
    values = [random_triple(shape, np.float32, seed + i)[0] for i, shape in enumerate(shapes)]
    tensors = [torch.tensor(value).to(getattr(torch, dtype)).to(PLACE) for value in values]
    return [*map(lent, (tensors[0], tensors[1].T, tensors[2], tensors[3], tensors[4][::2, 1:6]))]


def host(tensor):
    return numpy_view(tensor.detach().cpu()).copy()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_view_has_the_memory_and_the_layout_of_its_tensor(dtype):
    for tensor in made(dtype, 0):
        view = cupy_view(tensor)
        assert_same_bits(view.get(), host(tensor))
        assert view.data.ptr == tensor.data_ptr() or not view.size
        assert view.strides == tuple(step * tensor.element_size() for step in tensor.stride())


@pytest.mark.parametrize(("rule", "dtype"), [("lion", "bfloat16"), ("signum", "float64"), ("tiger", "float32")])
def test_steps_on_tensors_are_the_rules(rule, dtype):
    """Gradients come and go: the same ones, new ones in other places, and ones with other strides."""
    params = made(dtype, 0)
    opt = OPTIMIZERS[rule](params)
    reference = OPTIMIZERS[rule]([host(param) for param in params], backend="portable")
    grads = made(dtype, 10)
    contiguous = [lent(grad.clone(memory_format=torch.contiguous_format)) for grad in made(dtype, 20)]
    for given in (grads, grads, made(dtype, 30), contiguous, grads):
        opt.step(given)
        reference.step([host(grad) for grad in given])
    for name, param in opt.params.items():
        assert_same_bits(host(param), reference.params[name])
        assert_same_bits(host(opt.momentum[name]), reference.momentum[name])


def test_a_gradient_that_moves_in_its_memory_is_followed():
    """The object stays the same, and its elements are elsewhere: ``.data`` has been assigned."""
    (param, *_), (grad, *_) = made("float32", 0), made("float32", 10)
    opt, reference = signopt.Lion([param]), signopt.Lion([host(param)], backend="portable")
    for seed in (11, 12):
        opt.step([grad])
        reference.step([host(grad)])
        grad.data = made("float32", seed)[0]
    opt.step([grad])
    reference.step([host(grad)])
    assert_same_bits(host(param), reference.params["0"])
