"""The port of ``mlx.optimizers.Lion``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.port import Arrays

__all__ = ["MlxPort"]


class MlxPort:
    """MLX keeps its rate as a float32 array, so the dtypes that it can hold to its rule are float32 and narrower.

    It cannot take over negative strides, so every array is handed over in C order.
    """

    def __init__(self, name: str, rule: str, **declarations: Any) -> None:
        self._description = {"name": name, "rule": rule, **declarations}

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Initialise the optimizer over ``params`` and write ``momentum`` into its state."""
        import mlx.core as mx
        from mlx.optimizers import Lion

        self._params = {name: mx.array(np.array(param, order="C")) for name, param in params.items()}
        self._optimizer = Lion(hyper["lr"], list(hyper["betas"]), hyper["weight_decay"])
        self._optimizer.init(self._params)
        for name, start in (momentum or {}).items():
            self._optimizer.state[name]["m"] = mx.array(np.array(start, order="C"))

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Change the hyperparameters of the live optimizer."""
        self._optimizer.learning_rate = hyper["lr"]
        self._optimizer.betas, self._optimizer.weight_decay = list(hyper["betas"]), hyper["weight_decay"]

    def step(self, grads: Arrays) -> None:
        """Apply one update."""
        import mlx.core as mx

        arrays = {name: mx.array(np.array(grads[name], order="C")) for name in self._params}
        self._params = self._optimizer.apply_gradients(arrays, self._params)

    def params(self) -> Arrays:
        """Return the parameters."""
        return {name: np.array(param) for name, param in self._params.items()}

    def momentum(self) -> Arrays:
        """Return the momentum of every parameter."""
        return {name: np.array(self._optimizer.state[name]["m"]) for name in self._params}
