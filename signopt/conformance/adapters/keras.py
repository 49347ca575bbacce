"""The port of ``keras.optimizers.Lion``, on whichever backend Keras was started with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from signopt.conformance.port import Arrays

__all__ = ["KerasPort"]


class KerasPort:
    """Keras keeps its rate in ``floatx``, which is therefore set to the dtype of the parameters for every call.

    That is how Keras is asked for float64; without it a float64 model is trained with a rate rounded to float32. On
    JAX, ``enable_x64`` is entered as well. The backend is what ``KERAS_BACKEND`` said when the process started.
    """

    def __init__(self, name: str, rule: str, **declarations: Any) -> None:
        self._description = {"name": name, "rule": rule, **declarations}

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Build the optimizer over variables of its own and assign ``momentum``."""
        import keras

        dtypes = {param.dtype.name for param in params.values()}
        if len(dtypes) != 1:
            raise NotImplementedError("Keras has one floatx at a time, so all parameters must share a dtype")
        self._dtype = dtypes.pop()
        with _floatx(self._dtype):
            self._params = {name: keras.Variable(param, dtype=self._dtype) for name, param in params.items()}
            beta1, beta2 = hyper["betas"]
            self._optimizer = keras.optimizers.Lion(hyper["lr"], beta1, beta2, hyper["weight_decay"])
            self._optimizer.build(list(self._params.values()))
            for name, start in (momentum or {}).items():
                self._slot(name).assign(start)

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Change the hyperparameters of the live optimizer."""
        with _floatx(self._dtype):
            self._optimizer.learning_rate = hyper["lr"]
            self._optimizer.beta_1, self._optimizer.beta_2 = hyper["betas"]
            self._optimizer.weight_decay = hyper["weight_decay"]

    def step(self, grads: Arrays) -> None:
        """Apply one update."""
        import keras

        with _floatx(self._dtype):
            arrays = [keras.ops.convert_to_tensor(grads[name], dtype=self._dtype) for name in self._params]
            self._optimizer.apply(arrays, list(self._params.values()))

    def _slot(self, name: str) -> Any:
        index = self._optimizer._get_variable_index(self._params[name])
        return self._optimizer._momentums[index]

    def params(self) -> Arrays:
        """Return the parameters."""
        return {name: np.asarray(param.numpy()) for name, param in self._params.items()}

    def momentum(self) -> Arrays:
        """Return the momentum of every parameter."""
        return {name: np.asarray(self._slot(name).numpy()) for name in self._params}


@contextmanager
def _floatx(dtype: str) -> Iterator[None]:
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        if keras.config.backend() == "jax":
            import jax

            with jax.enable_x64(True):
                yield
        else:
            yield
    finally:
        keras.config.set_floatx(before)
