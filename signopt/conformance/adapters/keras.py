"""Ports made of Keras optimizers, on whichever backend Keras was started with, and of those of tf-keras (Keras 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from signopt.conformance.port import Arrays

__all__ = ["KerasPort"]

Keywords = Mapping[str, Any]


def _lion_settings(hyper: Keywords) -> dict[str, Any]:
    beta1, beta2 = hyper["betas"]
    return {"learning_rate": hyper["lr"], "beta_1": beta1, "beta_2": beta2, "weight_decay": hyper["weight_decay"]}


class KerasPort:
    """A Keras optimizer as a port; by default ``keras.optimizers.Lion``.

    Parameters
    ----------
    name, rule
        What the port is called and which rule it implements.
    build
        ``build(hyper)`` returns the optimizer: a class of Keras, or one of your own that inherits from
        ``keras.optimizers.Optimizer``.
    settings
        Maps the hyperparameters to the attributes of the optimizer that hold them; used to change them between steps.
        None if the optimizer cannot be changed once it is built.
    momentum
        The attribute that holds the list of momenta, in the order of the variables; None if there is none. Keras 2
        spells its attributes without the leading underscore, which is tried as well.
    library
        ``"keras"``, or ``"tf_keras"`` for Keras 2 on TensorFlow.
    declarations
        Everything else that ``describe`` returns: ``version``, ``dtypes``, ``decay``, ``form``, ``nan``, …

    Notes
    -----
    Keras keeps its rate in ``floatx``, which is therefore set to the dtype of the parameters for every call. That is
    how Keras is asked for float64; without it a float64 model is trained with a rate rounded to float32. On JAX,
    ``enable_x64`` is entered as well, for float64. The backend is what ``KERAS_BACKEND`` said when the process started.
    The Lion of tf-keras 2.21 rounds its betas to float32 whatever the model, so that only a port for float32 is right.
    """

    configure: Callable[[Keywords], None]
    """Changes the hyperparameters of the live optimizer; absent without ``settings``."""

    def __init__(
        self,
        name: str,
        rule: str,
        build: Callable[[Keywords], Any] | None = None,
        settings: Callable[[Keywords], Keywords] | None = _lion_settings,
        momentum: str | None = "_momentums",
        library: str = "keras",
        **declarations: Any,
    ) -> None:
        self._description = {"name": name, "rule": rule, **declarations}
        self._build, self._settings, self._key, self._library = build, settings, momentum, library
        if settings is not None:
            self.configure = self._configure

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Keywords, momentum: Arrays | None = None) -> None:
        """Build the optimizer over variables of its own and assign ``momentum``."""
        dtypes = {param.dtype.name for param in params.values()}
        if len(dtypes) != 1:
            raise NotImplementedError("Keras has one floatx at a time, so all parameters must share a dtype")
        self._dtype = dtypes.pop()
        with self._floatx():
            self._params = {name: self._variable(param) for name, param in params.items()}
            self._optimizer = self._made(hyper)
            self._optimizer.build(list(self._params.values()))
            if momentum is not None:
                self._set(momentum)

    def _set(self, momentum: Arrays) -> None:
        slots = self._slots()
        if slots is None:
            raise NotImplementedError(
                f"no momenta in the optimizer's attribute {self._key!r}; give their name to momentum="
            )
        for name, start in momentum.items():
            slots[name].assign(start)

    def _made(self, hyper: Keywords) -> Any:
        if self._build is not None:
            return self._build(hyper)
        return import_module(self._library).optimizers.Lion(**_lion_settings(hyper))

    def _variable(self, param: np.ndarray[Any, Any]) -> Any:
        if self._library == "tf_keras":
            return import_module("tensorflow").Variable(param)
        return import_module("keras").Variable(param, dtype=self._dtype)

    def _configure(self, hyper: Keywords) -> None:
        assert self._settings is not None
        with self._floatx():
            for attribute, value in self._settings(hyper).items():
                setattr(self._optimizer, attribute, value)

    def step(self, grads: Arrays) -> None:
        """Apply one update."""
        with self._floatx():
            if self._library == "tf_keras":
                convert = import_module("tensorflow").convert_to_tensor
                self._optimizer.apply_gradients([(convert(grads[name]), v) for name, v in self._params.items()])
                return
            convert = import_module("keras").ops.convert_to_tensor
            arrays = [convert(grads[name], dtype=self._dtype) for name in self._params]
            self._optimizer.apply(arrays, list(self._params.values()))

    def _slots(self) -> dict[str, Any] | None:
        """The variable of each momentum, or None if there are none under the name that was given."""
        key = self._key or ""
        slots = next(
            (found for name in (key, key.lstrip("_")) if (found := getattr(self._optimizer, name, None))), None
        )
        return None if slots is None else dict(zip(self._params, slots, strict=True))

    @contextmanager
    def _floatx(self) -> Iterator[None]:
        library = import_module(self._library)
        config = library.backend if self._library == "tf_keras" else library.config
        before = config.floatx()
        try:
            config.set_floatx(self._dtype)
        except ValueError as error:
            raise NotImplementedError(str(error)) from error
        try:
            if self._dtype == "float64" and config.backend() == "jax":
                with import_module("jax").enable_x64(True):
                    yield
            else:
                yield
        finally:
            config.set_floatx(before)

    def params(self) -> Arrays:
        """Return the parameters."""
        return {name: np.asarray(param.numpy()) for name, param in self._params.items()}

    def momentum(self) -> Arrays | None:
        """Return the momentum of every parameter, or None if the optimizer keeps none under that name."""
        slots = self._slots()
        return None if slots is None else {name: np.asarray(slot.numpy()) for name, slot in slots.items()}
