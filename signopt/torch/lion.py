"""Lion for torch."""

from __future__ import annotations

from typing import Any

from signopt.rules.coefficients import Coefficients
from signopt.rules.lion import LionCoefficients
from signopt.torch._elementwise import ElementwiseOptimizer
from signopt.torch._state import Group

__all__ = ["Lion"]


class Lion(ElementwiseOptimizer):
    """Lion as a :class:`torch.optim.Optimizer`. The rule and its arguments are those of :func:`signopt.lion`.

    Parameters
    ----------
    params : iterable
        Parameters, (name, parameter) pairs, or groups of either with hyperparameters of their own. They may be on any
        device, and DTensors of FSDP2, whose shards each rank updates without communication.
    lr : float or Tensor, default 1e-4
        Learning rate. Any scheduler of :mod:`torch.optim.lr_scheduler` may change it.
    betas : (float, float), default (0.9, 0.99)
    weight_decay : float, default 0
    momentum_dtype : torch.dtype, optional
        Of the momentum; that of each parameter by default. ``torch.float32`` beside bfloat16 parameters keeps what
        small gradients add, and survives ``load_state_dict``.
    rounding : {"nearest", "stochastic", "split"}
        How new values of 16-bit parameters are rounded, as for :class:`signopt.Lion`; may differ between groups. The
        low halves of split parameters are ``state[param]["rest"]``.
    seed : int, default 0
        Of stochastic rounding. A parameter's random words are a function of seed, the number of steps that it has
        taken, its place among all parameters of the optimizer, and the element. Under ZeRO every rank counts its own
        parameters, so ranks need seeds of their own.

    Notes
    -----
    Plain tensors on the CPU are updated in place by this library's compiled backend, on CUDA by its CuPy kernels if
    CuPy is installed; all else by the rule. The bits are the same. :func:`torch.compile` leaves the step as it is.
    Stochastic rounding gathers DTensors, whose shards do not know their place.

    Examples
    --------
    >>> import torch
    >>> import signopt.torch
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = signopt.torch.Lion([weight], lr=0.25)
    >>> weight.grad = torch.tensor([1.0, -1.0])
    >>> optimizer.step()
    >>> weight.tolist()
    [0.75, 1.25]
    """

    rule = "lion"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        storage = {"momentum_dtype": momentum_dtype, "rounding": rounding, "seed": seed}
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, **storage})

    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        return LionCoefficients.of(lr=group["lr"], betas=group["betas"], weight_decay=group["weight_decay"])
