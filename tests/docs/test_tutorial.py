"""The character transformer learns with every optimizer, and each of them gets what the page says."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the model is torch's")
SCRIPT = Path(__file__).parents[2] / "docs" / "tutorial" / "train.py"
spec = importlib.util.spec_from_file_location("tutorial_train", SCRIPT)
tutorial = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tutorial)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A batch that takes a tenth of the time."""
    monkeypatch.setattr(tutorial, "BATCH", 4)


@pytest.mark.parametrize("name", [*tutorial.OPTIMIZERS, "AdamW"])
def test_the_loss_falls(name):
    losses, kept = tutorial.train(name, steps=25)
    assert losses[0] > 4.5, "it starts at about the logarithm of the alphabet's size"
    assert kept < 3.6


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
