"""Published stochastic roundings as ports: this library's own, and functions of installed PyTorch libraries.

``signopt check signopt.conformance.adapters.rounding:torchao``, ``:adv_optm``, ``:pytorch_optimizer``, ``:heavyball``,
``:own``. On a CPU, where they were run: what a library does on a GPU was not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from signopt.conformance.errors import PortNotRun

__all__ = ["TorchRounding", "adv_optm", "heavyball", "own", "pytorch_optimizer", "torchao"]

Array = np.ndarray[Any, Any]


class TorchRounding:
    """A function of a float32 torch tensor that returns a bfloat16 one."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name, self._function = name, function

    def describe(self) -> Mapping[str, Any]:
        """Name and rule."""
        return {"name": self._name, "rule": "stochastic-rounding"}

    def round(self, x: Array) -> Array:
        """One step."""
        import ml_dtypes
        import torch

        given = torch.from_numpy(np.array(x, order="C"))
        result: Array = self._function(given).view(torch.int16).numpy()
        rounded: Array = result.view(ml_dtypes.bfloat16).reshape(x.shape)
        return rounded


class Own:
    """:func:`signopt.rounding.stochastic_bfloat16`, a step at every call."""

    def __init__(self, seed: int = 0) -> None:
        self._seed, self._step = seed, 0

    def describe(self) -> Mapping[str, Any]:
        """Name and rule."""
        return {"name": "signopt.rounding", "rule": "stochastic-rounding"}

    def round(self, x: Array) -> Array:
        """One step."""
        from signopt.rounding import stochastic_bfloat16

        self._step += 1
        return np.asarray(stochastic_bfloat16(x, seed=self._seed, step=self._step - 1))

    def round_with(self, x: Array, words: Array) -> Array:
        """With words that are given."""
        from signopt.rounding import round_bfloat16

        return np.asarray(round_bfloat16(x, words))


def own(seed: int = 0) -> Own:
    """The port of this library."""
    return Own(seed)


def torchao() -> TorchRounding:
    """torchao's ``_fp32_to_bf16_sr``."""
    return TorchRounding("torchao", _attribute("torchao.optim.quant_utils", "_fp32_to_bf16_sr"))


def adv_optm() -> TorchRounding:
    """Adv_Optm's ``copy_stochastic_``."""
    return TorchRounding("adv-optm", _copying("adv_optm.util.param_update", "copy_stochastic_"))


def pytorch_optimizer() -> TorchRounding:
    """pytorch_optimizer's ``copy_stochastic``."""
    return TorchRounding(
        "pytorch-optimizer", _copying("pytorch_optimizer.optimizer.utils.precision", "copy_stochastic")
    )


def heavyball() -> TorchRounding:
    """HeavyBall's ``stochastic_round_`` with its default of one word; not compiled, which it is anew for each shape."""
    function = _attribute("heavyball.utils", "stochastic_round_")

    def rounded(x: Any) -> Any:
        import torch

        with torch.compiler.set_stance("force_eager"):
            return function(torch.empty_like(x, dtype=torch.bfloat16), x)

    return TorchRounding("heavyball", rounded)


def _copying(module: str, name: str) -> Callable[[Any], Any]:
    """A function that rounds into its first argument."""
    function = _attribute(module, name)

    def rounded(x: Any) -> Any:
        import torch

        target = torch.empty_like(x, dtype=torch.bfloat16)
        function(target, x)
        return target

    return rounded


def _attribute(module: str, name: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PortNotRun(f"{module}.{name} cannot be had: {type(error).__name__}: {error}") from error
    return function
