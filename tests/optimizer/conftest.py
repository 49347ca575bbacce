"""The optimizers that take parameters of any shape."""

import pytest

import signopt


@pytest.fixture(params=["Lion", "Signum", "Tiger"])
def every_optimizer(request):
    """Each class in turn."""
    return getattr(signopt, request.param)
