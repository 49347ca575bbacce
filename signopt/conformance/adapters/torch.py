"""Ports made of :class:`torch.optim.Optimizer` subclasses.

An optimizer of this family differs from the next one in three things only: how it is built from the
hyperparameters, the key of the momentum in its per-parameter state, and what else it expects there.
:class:`TorchPort` takes these three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from signopt.conformance.port import Arrays

if TYPE_CHECKING:
    import torch

__all__ = ["TorchPort", "from_tensor", "to_tensor"]

Keywords = Mapping[str, Any]


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Wrap an array without copying, strides and bfloat16 included.

    A copy is made only of what torch cannot wrap: read-only memory and negative strides.
    """
    import torch

    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def from_tensor(tensor: torch.Tensor) -> np.ndarray:
    """View a tensor as an array; bfloat16 comes back in the dtype of ``ml_dtypes``."""
    import torch

    plain = tensor.detach()
    if plain.dtype != torch.bfloat16:
        return plain.numpy()
    import ml_dtypes

    return plain.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


class TorchPort:
    """A torch-style optimizer as a port.

    Parameters
    ----------
    name, rule
        What the port is called and which rule it implements.
    build
        ``build(parameters, hyper)`` returns the optimizer.
    settings
        Maps the hyperparameters to the entries of ``param_groups`` that hold them; used to change them between steps.
    momentum
        The key of the momentum in ``optimizer.state[parameter]``; None where it is kept in a form of its own.
    beside
        What else the optimizer expects in that state when it finds a momentum there.
    declarations
        Everything else that ``describe`` returns: ``version``, ``dtypes``, ``decay``, ``form``, ``nan``, … A
        ``momentum_dtype`` is also the dtype in which a momentum is handed over.

    Parameters keep the memory layout that they come with, and gradients are handed over without a copy, so that an
    optimizer which mishandles strides or writes to its gradients is seen doing so.
    """

    def __init__(
        self,
        name: str,
        rule: str,
        build: Callable[[list[torch.nn.Parameter], Keywords], torch.optim.Optimizer],
        settings: Callable[[Keywords], Keywords],
        momentum: str | None = "exp_avg",
        beside: Keywords | None = None,
        **declarations: Any,
    ) -> None:
        self._description = {"name": name, "rule": rule, **declarations}
        self._build, self._settings = build, settings
        self._key, self._beside = momentum, dict(beside or {})

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Keywords, momentum: Arrays | None = None) -> None:
        """Build a fresh optimizer over copies of ``params``."""
        import torch

        if momentum is not None and self._key is None:
            raise NotImplementedError("the optimizer keeps its momentum in a form of its own")
        self._params = {name: torch.nn.Parameter(to_tensor(p.copy("K"))) for name, p in params.items()}
        self._optimizer = self._build(list(self._params.values()), hyper)
        self._stepped = False
        for name, start in (momentum or {}).items():
            state = self._optimizer.state[self._params[name]]
            kept = start.astype(self._description.get("momentum_dtype", start.dtype), order="K")
            state.update(self._beside | {self._key: to_tensor(kept)})

    def configure(self, hyper: Keywords) -> None:
        """Change the hyperparameters where torch users change them: in the parameter groups."""
        for group in self._optimizer.param_groups:
            group.update(self._settings(hyper))

    def step(self, grads: Arrays) -> None:
        """Set ``.grad`` of every parameter and call the optimizer."""
        self._stepped = True
        for name, param in self._params.items():
            param.grad = to_tensor(grads[name])
        self._optimizer.step()

    def params(self) -> Arrays:
        """Return the live parameters."""
        return {name: from_tensor(param) for name, param in self._params.items()}

    def momentum(self) -> Arrays | None:
        """Return the live momentum: zeros before the first step, None if the optimizer has made none by then.

        Signum with β = 0 is such a case: some optimizers keep no buffer for it.
        """
        if self._key is None:
            return None
        states = {name: self._optimizer.state[param] for name, param in self._params.items()}
        if not self._stepped and not any(states.values()):
            return {name: np.zeros_like(from_tensor(param)) for name, param in self._params.items()}
        if any(self._key not in state for state in states.values()):
            return None
        return {name: from_tensor(state[self._key]) for name, state in states.items()}
