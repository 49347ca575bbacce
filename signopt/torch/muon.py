"""Muon for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signopt.rules.coefficients import Coefficients
from signopt.rules.muon import MuonCoefficients
from signopt.rules.newton_schulz import JORDAN
from signopt.torch._base import SignOptimizer
from signopt.torch._rows import Row, is_distributed
from signopt.torch._state import Group, named

__all__ = ["Muon"]


class Muon(SignOptimizer):
    """Muon as a :class:`torch.optim.Optimizer`, with the argument names of :class:`torch.optim.Muon`.

    The rule is that of :func:`signopt.muon`, whose ``beta`` is called ``momentum`` here.

    Parameters
    ----------
    params : iterable
        Parameters of two axes or more, (name, parameter) pairs, or groups of either. Give biases, norms, embeddings and
        the output layer to an optimizer of their own.
    lr : float or Tensor, default 1e-3
    weight_decay : float, default 0.1
    momentum : float, default 0.95
        β in [0, 1).
    nesterov : bool, default True
    ns_coefficients, eps, ns_steps
        Of the iteration: see :func:`signopt.msign`.
    adjust_lr_fn : {"original", "match_rms_adamw"}, optional
    decay : {"plain", "spectral"}, default "plain"
    momentum_dtype, rounding, seed
        As for :class:`signopt.torch.Lion`.

    Notes
    -----
    The step needs the whole matrix: a DTensor is gathered on every rank, which then updates its shard. A shard given as
    a plain tensor is taken for a whole matrix, and no error can be raised for that. The bits are those of
    :class:`signopt.Muon` on the same machine, not those of the rule on tensors: products of matrices are BLAS's.

    Examples
    --------
    >>> import torch
    >>> import signopt.torch
    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> optimizer = signopt.torch.Muon([weight], lr=1.0)
    >>> weight.grad = 5 * torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> optimizer.step()
    >>> weight.detach()[0].round().tolist()
    [0.0, -1.0]
    """

    rule = "muon"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Sequence[Any] = JORDAN,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        decay: str = "plain",
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
                "decay": decay,
                "momentum_dtype": momentum_dtype,
                "rounding": rounding,
                "seed": seed,
            },
        )

    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        return MuonCoefficients.of(
            lr=group["lr"],
            beta=group["momentum"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            ns_coefficients=group["ns_coefficients"],
            ns_steps=group["ns_steps"],
            eps=group["eps"],
            adjust_lr_fn=group["adjust_lr_fn"],
            decay=group["decay"],
            batch_axis=None,
        )

    def _check_group(self, group: Group) -> None:
        super()._check_group(group)
        for name, param in named(group):
            if param.ndim < 2:
                shape = tuple(param.shape)
                raise ValueError(f"{name} has shape {shape} and is no matrix; give it to another optimizer, say Lion")

    def _here(self, row: Row) -> Row | None:
        return None if is_distributed(row.param) else row
