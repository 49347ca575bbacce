"""Roles by name, as the Tiger source reads them."""

import pytest

from signopt.roles import ROLES, role_of, traits_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("dense/kernel", "matrix"),
        ("dense/bias", "bias"),
        ("norm/beta", "bias"),
        ("norm/gamma", "scale"),
        ("tok/embeddings", "embedding"),
        ("bert/embeddings/LayerNorm/gamma", "scale"),
        ("bert/embeddings/LayerNorm/beta", "bias"),
        ("bias/gamma", "scale"),
        ("tok/embedding", "matrix"),
        ("Bias", "matrix"),
        ("", "matrix"),
    ],
)
def test_names(name, role):
    assert role_of(name) == role


def test_only_matrices_and_embeddings_decay():
    assert [traits_of(role).decays for role in ROLES] == [True, True, False, False]
