"""How many of this suite's wrong Muons the tests of public Muons let pass.

    python docs/weak_suites/muon.py

Each function states what the tests of one public port demand, in NumPy; where the original compares with another
implementation, that is the right port here, and so exact where theirs iterates in bfloat16. What concerns the framework
alone is left out.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS

Array: TypeAlias = Any
Make = Callable[[], Any]

JORDAN = (3.4445, -4.7750, 2.0315)


def right() -> Any:
    return next(variant for variant in RIGHT_PORTS["muon"] if variant.id == "plain")()


def started(port: Any, params: dict[str, Any], **changes: Any) -> Any:
    usual = {
        "lr": 1e-3, "beta": 0.95, "weight_decay": 0.0, "nesterov": True, "ns_coefficients": JORDAN, "ns_steps": 5,
        "eps": 1e-7, "adjust_lr_fn": "original",
    }  # fmt: skip
    port.init({name: np.asarray(value, np.float32) for name, value in params.items()}, {**usual, **changes})
    return port


def stepped(port: Any, **grads: Any) -> Any:
    port.step({name: np.array(grad, np.float32) for name, grad in grads.items()})
    return port.params()


def mlx(make: Make) -> None:
    """A step of ones from zeros keeps shapes and dtypes, and changes something."""
    for shape in ((10, 5), (1, 4), (3, 2, 2)):
        port = started(make(), {"w": np.zeros(shape)}, lr=0.1)
        assert not port.momentum()["w"].any()
        param = stepped(port, w=np.ones(shape))["w"]
        assert param.shape == shape
        assert param.dtype == np.float32
        assert param.any()


def keras(make: Make) -> None:
    """X of one matrix at 1e-3; one step at 1e-2; the decay of one matrix under a gradient of zero."""
    given = [[0.2499, 0.9105], [0.2655, 0.8824]]
    port = started(make(), {"w": np.zeros((2, 2))}, lr=1.0, beta=0.0, nesterov=False)
    x = -stepped(port, w=given)["w"]
    np.testing.assert_allclose(x, [[-0.4422, 0.6457], [0.7285, 0.2968]], rtol=1e-3, atol=1e-3)
    port = started(make(), {"w": [[1, 2], [3, 4]]}, lr=0.5, adjust_lr_fn="match_rms_adamw")
    param = stepped(port, w=[[1, 6], [7, 2]])["w"]
    np.testing.assert_allclose(param, [[0.988775, 1.887053], [2.873428, 3.97035]], rtol=1e-2, atol=1e-2)
    port = started(make(), {"w": [[1, 2], [3, 4]]}, lr=1.0, weight_decay=0.01)
    param = stepped(port, w=np.zeros((2, 2)))["w"]
    np.testing.assert_allclose(param, 0.99 * np.array([[1, 2], [3, 4]]), rtol=1e-4)


class Net:
    """tinygrad's two networks of a row and a square: their gradients."""

    def __init__(self) -> None:
        random = np.random.RandomState(1337)
        self.x, self.w, self.m = (random.randn(*shape).astype(np.float32) for shape in ((1, 4), (4, 4), (1, 4)))

    def gradients(self, x: Array, w: Array) -> tuple[Array, Array]:
        """Of Σ m·log softmax(relu(xW))."""
        z = x @ w
        r = np.maximum(z, 0)
        soft = np.exp(r - r.max()) / np.exp(r - r.max()).sum()
        dz = (self.m - soft * self.m.sum()) * (z > 0)
        return dz @ w.T, x.T @ dz

    def small(self, x: Array, w: Array) -> tuple[Array, Array]:
        """Of Σ x·W, x along every row."""
        return w.sum(axis=0, keepdims=True), np.repeat(x, 4, axis=0)


def trained(port: Any, steps: int, gradients: Callable[[Array, Array], tuple[Array, Array]], **opts: Any) -> Array:
    net = Net()
    port = started(port, {"x": net.x, "w": net.w}, **opts)
    for _ in range(steps):
        params = port.params()
        dx, dw = gradients(params["x"], params["w"])
        params = stepped(port, x=dx, w=dw)
    return params


def tinygrad(make: Make) -> None:
    """Eight comparisons on 4 × 4 and 1 × 4 with torch.optim.Muon, at its tolerances; that decay has an effect."""
    net = Net()
    for steps, atol, rtol, gradients, opts in (
        (2, 1e-2, 5e-4, net.small, {"lr": 1.1}),
        (1, 1e-3, 0.0, net.gradients, {}),
        (1, 1e-3, 3e-4, net.gradients, {"weight_decay": 0.01}),
        (10, 3e-3, 0.0, net.gradients, {"weight_decay": 0.01}),
        (10, 1e-3, 0.0, net.gradients, {"nesterov": False}),
        (1, 1e-4, 0.0, net.gradients, {"ns_steps": 3}),
        (1, 1e-5, 3e-4, net.gradients, {"ns_coefficients": (2.0, -1.5, 0.5)}),
        (10, 1e-4, 0.0, net.gradients, {
            "beta": 0.9, "weight_decay": 0.01, "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5)}),
    ):  # fmt: skip
        ours, theirs = (trained(port, steps, gradients, **opts) for port in (right(), make()))
        for name in ours:
            np.testing.assert_allclose(theirs[name], ours[name], atol=atol, rtol=rtol)
    with_decay, without = (trained(make(), 1, net.gradients, lr=0.02, weight_decay=decay) for decay in (0.1, 0.0))
    assert not any(np.allclose(with_decay[name], without[name]) for name in without)


SUITES: dict[str, tuple[Callable[[Make], None], str]] = {
    "mlx": (mlx, "zeros and ones; looks at shapes, and that something changed"),
    "keras": (keras, "one first step of one square at 1e-2; momentum, look-ahead, shapes and scales are free"),
    "tinygrad": (tinygrad, "tolerances made for bfloat16; a square and a row only"),
}


def rejects(suite: Callable[[Make], None], make: Make) -> bool:
    """Whether the restated tests fail."""
    try:
        with np.errstate(all="ignore"):
            suite(make)
    except Exception:
        return True
    return False


def wrong() -> list[Any]:
    """The wrong Muons whose fault shows in float32."""
    return [variant for variant in MUTANTS["muon"] if "float32" in variant.dtypes]


def main() -> None:
    """Print the table, and stop if a suite rejects the right port."""
    print("\n".join(lines()))


def lines() -> Iterator[str]:
    """The table of the page."""
    mutants = wrong()
    yield f"| tests of | rejected of {len(mutants)} | why so few |"
    yield "|---|---|---|"
    for name, (suite, why) in SUITES.items():
        if rejects(suite, right):
            raise SystemExit(f"{name} rejects the right port")
        yield f"| {name} | {sum(rejects(suite, mutant) for mutant in mutants)} | {why} |"


if __name__ == "__main__":
    main()
