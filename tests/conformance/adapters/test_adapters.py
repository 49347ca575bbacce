"""The adapters: what they hand to a framework, what they read back, and how they are found.

The numbers are chosen so that every order of evaluation is exact: β = (½, ¾), short significands, a power of two
as rate.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from signopt.conformance.adapters.candidate import Candidate, lone_module
from signopt.conformance.adapters.discovery import discover
from signopt.conformance.port import Port

HYPER = {
    "lion": {"lr": 0.25, "betas": (0.5, 0.75), "weight_decay": 0.5},
    "signum": {"lr": 0.25, "beta": 0.75, "weight_decay": 0.0},
    "tiger": {"lr": 0.25, "beta": 0.75, "weight_decay": 0.5, "accumulation_steps": 1, "shrink": 0.99}
    | {"schedule": None, "roles": None},
}
AFTER_ONE_LION_STEP = {"w": [2 - 0.25 * (1 + 1), -4 + 0.25 * (1 + 2), 1 - 0.25 * 0.5], "b": [[8 - 0.25 * (4 - 1)]]}
MOMENTUM_AFTER = {"w": [0.75 * 1 + 0.25 * 2, 0.75 * 2 - 0.25 * 8, 0.0], "b": [[0.25 * -4]]}


def arrays(dtype: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    params = {"w": np.array([2, -4, 1], dtype), "b": np.array([[8]], dtype)}
    grads = {"w": np.array([2, -8, 0], dtype), "b": np.array([[-4]], dtype)}
    momentum = {"w": np.array([1, 2, 0], dtype), "b": np.array([[0]], dtype)}
    return params, grads, momentum


def installed(rule: str) -> list[object]:
    found = []
    for candidate in discover():
        if candidate.rule == rule and not candidate.variant:
            reason = f"not installed or not set: {', '.join(candidate.missing())}"
            mark = pytest.mark.skipif(bool(candidate.missing()), reason=reason)
            found.append(pytest.param(candidate, id=candidate.name, marks=mark))
    return found


def built(name: str) -> Port:
    candidate = next(c for c in discover() if (c.name, c.rule) == (name, "lion"))
    if candidate.missing():
        pytest.skip(f"not installed: {', '.join(candidate.missing())}")
    return candidate.build()


def test_the_names_of_the_catalogue_are_unique_within_a_rule() -> None:
    names = [(candidate.name, candidate.rule) for candidate in discover()]
    assert len(names) == len(set(names))


@pytest.mark.filterwarnings("ignore:Parameter `foreach` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("candidate", [c for c in installed("lion") if "deepspeed" not in c.id])
def test_a_lion_takes_the_exact_step_from_the_momentum_given(candidate: Candidate) -> None:
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    port = candidate.build()
    assert (port.describe()["name"], port.describe()["rule"]) == (candidate.name, "lion")
    for dtype in port.describe()["dtypes"]:
        params, grads, momentum = arrays(dtype)
        port.init(params, HYPER["lion"], momentum)
        port.step(grads)
        for name in params:
            assert port.params()[name].dtype == dtype
            np.testing.assert_array_equal(port.params()[name], np.array(AFTER_ONE_LION_STEP[name], dtype))
            np.testing.assert_array_equal(port.momentum()[name], np.array(MOMENTUM_AFTER[name], dtype))


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("candidate", installed("signum"))
def test_a_signum_takes_the_exact_step_from_the_momentum_given(candidate: Candidate, decay: float) -> None:
    port = candidate.build()
    params, grads, momentum = arrays("float32")
    port.init(params, HYPER["signum"] | {"weight_decay": decay}, momentum)
    port.step(grads)
    np.testing.assert_array_equal(port.momentum()["w"], np.array(MOMENTUM_AFTER["w"], "float32"))
    expected = [2 - 0.25 * (1 + 2 * decay), -4 - 0.25 * (-1 - 4 * decay), 1 - 0.25 * decay]
    np.testing.assert_array_equal(port.params()["w"], np.array(expected, "float32"))


@pytest.mark.parametrize("candidate", installed("tiger"))
def test_a_tiger_without_windows_refuses_them(candidate: Candidate) -> None:
    params, _, _ = arrays("float32")
    with pytest.raises(ValueError, match="accumulation"):
        candidate.build().init(params, HYPER["tiger"] | {"accumulation_steps": 2})


@pytest.mark.parametrize("name", ["lion-pytorch", "optax", "optax/jit", "mlx"])
def test_hyperparameters_change_between_steps_and_the_state_stays(name: str) -> None:
    port = built(name)
    params, grads, momentum = arrays("float32")
    port.init(params, HYPER["lion"], momentum)
    port.configure({"lr": 4.0, "betas": (0.5, 0.5), "weight_decay": 0.0})
    port.step(grads)
    np.testing.assert_array_equal(port.params()["w"], np.array([-2, 0, 1], "float32"))
    np.testing.assert_array_equal(port.momentum()["w"], np.array([1.5, -3, 0], "float32"))


@pytest.mark.parametrize("name", ["lion-pytorch", "optax", "mlx"])
def test_init_forgets_the_run_before_and_leaves_its_arguments_alone(name: str) -> None:
    port = built(name)
    params, grads, momentum = arrays("float32")
    for array in (*params.values(), *momentum.values()):
        array.flags.writeable = False
    for _ in range(2):
        port.init(params, HYPER["lion"], momentum)
        port.step(grads)
        np.testing.assert_array_equal(port.momentum()["w"], np.array(MOMENTUM_AFTER["w"], "float32"))


def test_torch_gets_the_layout_of_the_parameters_and_the_very_memory_of_the_gradients() -> None:
    torch = pytest.importorskip("torch")
    from signopt.conformance.adapters.torch import TorchPort

    seen: list[object] = []

    class Probe(torch.optim.Optimizer):
        def __init__(self, params: object, **defaults: object) -> None:
            super().__init__(params, defaults)

        def step(self) -> None:
            seen.extend(p for group in self.param_groups for p in group["params"])

    port = TorchPort("probe", "lion", lambda params, hyper: Probe(params, **hyper), dict)
    param, grad = np.arange(6.0).reshape(2, 3).T, np.ones((3, 2))
    port.init({"w": param}, HYPER["lion"])
    np.testing.assert_array_equal(port.momentum()["w"], np.zeros((3, 2)))
    port.step({"w": grad})
    assert port.momentum() is None, "this optimizer has made no state, and zeros would be an invention"
    assert seen[0].stride() == (1, 3)
    assert seen[0].grad.data_ptr() == grad.ctypes.data
    assert not np.shares_memory(port.params()["w"], param)


def test_torch_takes_what_it_cannot_wrap_as_a_copy_and_bfloat16_by_its_bits() -> None:
    pytest.importorskip("torch")
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from signopt.conformance.adapters.torch import from_tensor, to_tensor

    backwards = np.arange(4.0)[::-1]
    np.testing.assert_array_equal(from_tensor(to_tensor(backwards)), backwards)
    half = np.array([1.5, -0.0, np.inf], ml_dtypes.bfloat16)
    assert from_tensor(to_tensor(half)).dtype == half.dtype
    np.testing.assert_array_equal(from_tensor(to_tensor(half)).view(np.int16), half.view(np.int16))


def test_an_optimizer_that_hides_its_momentum_cannot_be_given_one() -> None:
    torch = pytest.importorskip("torch")
    from signopt.conformance.adapters.torch import TorchPort

    port = TorchPort("sgd", "signum", lambda p, h: torch.optim.SGD(p, lr=h["lr"]), dict, momentum=None)
    params, _, momentum = arrays("float32")
    with pytest.raises(NotImplementedError, match="momentum"):
        port.init(params, HYPER["lion"], momentum)
    port.init(params, HYPER["lion"])
    assert port.momentum() is None


def test_jax_is_left_with_the_setting_that_the_process_had() -> None:
    jax = pytest.importorskip("jax")
    port = built("optax")
    params, grads, momentum = arrays("float64")
    port.init(params, HYPER["lion"], momentum)
    port.step(grads)
    assert not jax.config.jax_enable_x64


def test_another_package_registers_its_ports_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(
        "from signopt.conformance.adapters.candidate import Candidate\n"
        "def ports():\n"
        "    return [Candidate('theirs', 'lion', 'theirs', ('theirs', 'no_such_module'), object, {'THEIRS': '1'})]\n"
    )
    metadata = tmp_path / "theirs-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[signopt.ports]\ntheirs = theirs:ports\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = next(c for c in discover() if c.name == "theirs")
    assert found.version() == "1.2"
    assert found.missing() == ["no_such_module", "THEIRS=1"]
    monkeypatch.setenv("THEIRS", "1")
    assert found.missing() == ["no_such_module"]


def test_a_module_is_imported_alone_and_its_package_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "heavy" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "heavy" / "__init__.py").write_text("raise RuntimeError('imported the zoo')\n")
    (package / "__init__.py").write_text("raise RuntimeError('imported the zoo')\n")
    (package / "light.py").write_text("from ._sibling import ANSWER\n")
    (package / "_sibling.py").write_text("ANSWER = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert lone_module("heavy.inner.light").ANSWER == 42
    assert "heavy" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="absent"):
        lone_module("absent.inner.light")
