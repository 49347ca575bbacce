"""torch: autograd learns of changes, no graph is kept, and what is no plain tensor is named or left to the rule."""

import gc
import weakref

import numpy as np
import pytest

import signopt

torch = pytest.importorskip("torch")
BACKENDS = ["portable", "numpy", "numba", "auto"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    return request.param


def test_a_step_between_forward_and_backward_is_an_error(backend):
    weight = torch.full((3,), 2.0, requires_grad=True)
    opt = signopt.Lion({"w": weight}, lr=0.25, backend=backend)
    loss = (weight * weight).sum()
    opt.step({"w": torch.ones(3)})
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_with_a_history_of_gradients(backend):
    net = torch.nn.Linear(3, 2)
    before = [param.detach().clone() for param in net.parameters()]
    opt = signopt.Lion(net.named_parameters(), lr=0.25, backend=backend)
    grads = torch.autograd.grad(net(torch.ones(1, 3)).sum(), list(net.parameters()), create_graph=True)
    opt.step([grad * net.bias.sum() / net.bias.sum().detach() for grad in grads])
    for param, momentum, old in zip(net.parameters(), opt.momentum.values(), before, strict=True):
        assert (param == old - 0.25).all()
        assert not momentum.requires_grad
        assert momentum.grad_fn is None
    net.zero_grad()
    net(torch.ones(1, 3)).sum().backward()
    opt.step({name: param.grad for name, param in net.named_parameters()})


def test_a_tensor_that_requires_a_gradient_among_others(backend):
    plain, leaf = torch.ones(4), torch.ones(4, requires_grad=True)
    signopt.Lion({"plain": plain, "leaf": leaf}, lr=0.25, backend=backend).step([torch.ones(4)] * 2)
    assert plain.tolist() == leaf.tolist() == [0.75] * 4


def special():
    complex_ones = torch.ones(4, dtype=torch.complex64)
    yield "sparse", torch.ones(4).to_sparse(), "sparse_coo.*to_dense"
    yield "negative", complex_ones.conj().imag, "neg bit.*resolve_neg"
    yield "conjugate", complex_ones.conj(), "conj bit.*resolve_conj"
    yield "complex", complex_ones, "complex64"


@pytest.mark.parametrize(("grad", "words"), [each[1:] for each in special()], ids=[each[0] for each in special()])
def test_special_gradients_are_refused_by_name(backend, grad, words):
    opt = signopt.Lion({"good": torch.ones(4), "special": torch.ones(4)}, backend=backend)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"params\['special'\].*" + words):
            opt.step({"good": torch.ones(4), "special": grad})
    assert (opt.params["good"] == 1.0).all()
    with pytest.raises(TypeError, match=r"params\['special'\].*" + words):
        signopt.Lion({"special": grad}, backend=backend)


class Tagged(torch.Tensor):
    """A subclass, as DTensor is one."""


def test_a_subclass_is_served_by_the_rule():
    weight = torch.ones(3).as_subclass(Tagged)
    opt = signopt.Lion([weight], lr=0.25)
    assert opt.backend == "portable"
    opt.step([torch.ones(3).as_subclass(Tagged)])
    assert weight.tolist() == [0.75] * 3
    with pytest.raises(TypeError, match=r"Tagged; use backend='portable'"):
        signopt.Lion([weight], backend="numpy")


def test_distributed_tensors():
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    tensor = pytest.importorskip("torch.distributed.tensor")
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        weight, grad = (tensor.distribute_tensor(torch.ones(4, 3), mesh) for _ in range(2))
        opt = signopt.Lion({"w": torch.nn.Parameter(weight)}, lr=0.25)
        assert opt.backend == "portable"
        opt.step({"w": grad})
        assert (opt.params["w"].to_local() == 0.75).all()
    finally:
        distributed.destroy_process_group()


def test_gradients_are_not_kept_alive(backend):
    opt = signopt.Lion([torch.ones(1000)], backend=backend)
    grad = torch.ones(1000)
    memory = grad.untyped_storage()
    opt.step([grad])
    gone = weakref.ref(memory)
    del grad, memory
    gc.collect()
    assert gone() is None
    views = getattr(opt._backend, "_views", [])
    assert views == []


def test_matrices_and_masked_arrays_are_refused_by_name():
    for bad, words in (
        (np.ones((1, 2)).view(np.matrix), "numpy.matrix"),
        (np.ma.masked_array([[1.0, 2.0]], [[0, 1]]), "masked"),
    ):
        with pytest.raises(TypeError, match=rf"params\['w'\] is a {words}"):
            signopt.Lion({"w": bad})
        opt = signopt.Lion({"w": np.ones((1, 2))})
        with pytest.raises(TypeError, match=rf"the gradient of params\['w'\] is a {words}"):
            opt.step({"w": bad})
        with pytest.raises(TypeError, match=words):
            signopt.lion(np.ones((1, 2)), bad, np.zeros((1, 2)))
        with pytest.raises(TypeError, match=words):
            signopt.signum(bad, bad, bad)
