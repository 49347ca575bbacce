"""KerasPort over Keras 2, which TensorFlow brings: a stand-in for both, as neither installs quickly."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.adapters.keras import KerasPort


class Variable:
    def __init__(self, value):
        self._value = np.array(value)

    def numpy(self):
        return self._value

    def assign(self, value):
        self._value[...] = value


class Lion:
    """Lion as tf-keras writes it: its momenta are in ``momentums``, without an underscore."""

    def __init__(self, learning_rate, beta_1, beta_2, weight_decay):
        self.learning_rate, self.beta_1, self.beta_2, self.weight_decay = learning_rate, beta_1, beta_2, weight_decay

    def build(self, variables):
        self.momentums = [Variable(np.zeros_like(variable.numpy())) for variable in variables]

    def apply_gradients(self, pairs):
        for (grad, variable), m in zip(pairs, self.momentums, strict=True):
            x, v, one = variable.numpy(), m.numpy(), grad.dtype.type(1)
            rate, decay, beta_1, beta_2 = map(
                grad.dtype.type, (self.learning_rate, self.weight_decay, self.beta_1, self.beta_2)
            )
            x -= x * rate * decay
            x -= rate * np.sign(v * beta_1 + grad * (one - beta_1))
            m.assign(v * beta_2 + grad * (one - beta_2))


@pytest.fixture(autouse=True)
def keras_2(monkeypatch):
    known = SimpleNamespace(dtype="float32")

    def set_floatx(dtype):
        if dtype == "bfloat16":
            raise ValueError("Unknown `floatx` value: bfloat16")
        known.dtype = dtype

    backend = SimpleNamespace(floatx=lambda: known.dtype, set_floatx=set_floatx, backend=lambda: "tensorflow")
    monkeypatch.setitem(
        sys.modules, "tf_keras", SimpleNamespace(backend=backend, optimizers=SimpleNamespace(Lion=Lion))
    )
    tensorflow = SimpleNamespace(Variable=Variable, convert_to_tensor=lambda array: array)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    return known


def port(**choices):
    return KerasPort("tf-keras", "lion", library="tf_keras", dtypes=["float32"], **choices)


def test_momenta_are_found_under_the_name_that_keras_2_gives_them():
    report = check(port, "core")
    assert report.verdict == "pass", str(report)
    assert not any("momentum" in result.reason for result in report.checks)


def test_momenta_under_no_known_name_cannot_be_set_and_nobody_is_accused():
    report = check(lambda: port(momentum="velocities"), "core")
    assert report.verdict != "fail", str(report)
    made = port(momentum="velocities")
    start = {"w": np.ones(2, np.float32)}
    with pytest.raises(NotImplementedError, match=r"velocities.*momentum="):
        made.init(start, {"lr": 1.0, "betas": (0.5, 0.5), "weight_decay": 0.0}, start)


def test_floatx_is_put_back_and_a_dtype_that_keras_lacks_is_said_to_be_so(keras_2):
    hyper = {"lr": 1.0, "betas": (0.5, 0.5), "weight_decay": 0.0}
    port().init({"w": np.ones(2)}, hyper)
    assert keras_2.dtype == "float32"
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 on NumPy needs ml_dtypes")
    with pytest.raises(NotImplementedError, match="bfloat16"):
        port().init({"w": np.ones(2, ml_dtypes.bfloat16)}, hyper)
