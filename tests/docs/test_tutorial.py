"""The character transformer learns with every optimizer, and each of them gets what the page says."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.bits import assert_same_bits

pytest.importorskip("torch", reason="the model is torch's")
FOLDER = Path(__file__).parents[2] / "docs" / "tutorial"


def load(name):
    spec = importlib.util.spec_from_file_location(f"tutorial_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tutorial = load("train")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A batch that takes a tenth of the time."""
    monkeypatch.setattr(tutorial, "BATCH", 4)


@pytest.mark.parametrize("name", [*tutorial.OPTIMIZERS, "AdamW"])
@pytest.mark.one_in(4)
def test_the_loss_falls(name, monkeypatch):
    monkeypatch.setattr(tutorial, "CONTEXT", 24)
    losses, kept = tutorial.train(name, steps=25)
    assert losses[0] > 4.5, "it starts at about the logarithm of the alphabet's size"
    assert kept < 4.0


def test_muon_gets_the_matrices_of_the_blocks_and_nothing_else():
    named = dict(tutorial.Transformer().named_parameters())
    matrices = tutorial.hidden_matrices(named)
    assert len(matrices) == 4 * tutorial.LAYERS
    assert not any("norm" in name or "embeddings" in name or "head" in name for name in matrices)


def test_tiger_reads_the_roles_from_the_names():
    named = dict(tutorial.Transformer().named_parameters())
    roles = tutorial.OPTIMIZERS["Tiger"](named, 10).roles
    assert roles["embeddings.weight"] == "embedding"
    assert roles["blocks.0.mix.weight"] == "matrix"
    assert roles["blocks.0.up.bias"] == "bias"
    assert roles["blocks.1.feed_norm.weight"] == roles["norm.weight"] == "scale"


@pytest.fixture(scope="module")
def fronts():
    """The other script of the page, which imports this one by its name."""
    threads = tutorial.torch.get_num_threads()
    tutorial.torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tutorial, "BATCH", 4)
        patch.setitem(sys.modules, "train", tutorial)
        yield load("fronts")
    tutorial.torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def reference(fronts):
    return fronts.trained(fronts.by_rule, 3)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # what torch.compile imports
@pytest.mark.parametrize("front", ["by_arrays", "by_torch", "by_compiled_torch", "by_jitted_rule"])
@pytest.mark.one_in(4)
def test_every_front_trains_to_the_same_bits(front, fronts, reference):
    if "jitted" in front:
        pytest.importorskip("jax", reason="JAX is not installed")
    losses, params = fronts.trained(getattr(fronts, front), 3)
    assert losses == reference[0]
    for name, expected in reference[1].items():
        assert_same_bits(params[name], expected)


@pytest.mark.thorough
def test_two_ranks_train_to_the_same_bits(fronts, reference):
    losses, params = fronts.by_two_ranks(3, tutorial.BATCH)
    assert losses == reference[0]
    for name, expected in reference[1].items():
        assert_same_bits(params[name], expected)


@pytest.mark.thorough
def test_a_model_in_jax_trains_to_the_same_losses(fronts, reference):
    pytest.importorskip("jax", reason="JAX is not installed")
    assert fronts.furthest(fronts.by_jax(3), reference[0]) < 1e-4
