"""Tiger for torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from signopt._hyperparameters import Schedule
from signopt._zero_rms import warn_about_zeros
from signopt.backends._interop import is_plain_tensor
from signopt.roles import role_of, traits_of
from signopt.rules.coefficients import Coefficients
from signopt.rules.tiger import TigerCoefficients
from signopt.torch._base import SignOptimizer
from signopt.torch._facts import with_facts
from signopt.torch._rows import Plan, Row, is_distributed, local_row
from signopt.torch._state import Group

__all__ = ["Tiger"]

_NUMBERS = ("lr", "beta", "weight_decay", "accumulation_steps", "shrink", "schedule")


class Tiger(SignOptimizer):
    """Tiger as a :class:`torch.optim.Optimizer`. The rule and its arguments are those of :func:`signopt.tiger`.

    Parameters are those of :class:`signopt.torch.Lion`, with ``beta`` in place of ``betas``, and

    Parameters
    ----------
    accumulation_steps : int, default 1
        Micro-steps in a window. Call :meth:`step` and ``zero_grad`` at every micro-step, with the loss undivided.
    shrink : float, default 0.99
        s of the NaN rule.
    schedule : mapping or callable, optional
        {micro-step: factor} or a function of the micro-step, beside what a scheduler of torch does to ``lr``.
    role : {"matrix", "embedding", "bias", "scale"}, optional
        Of the parameters of a group; give it in the group. Without it, roles are read from the names, as the source
        does (:func:`signopt.roles.role_of`), if the parameters come as (name, parameter) pairs; all else are matrices.
        :func:`signopt.torch.groups` makes groups with the roles that the modules have.

    Warns
    -----
    UserWarning
        When a matrix or a row of an embedding is all zero as it is added: its RMS is 0, so it never moves.

    Notes
    -----
    A DTensor is updated as a whole: ranks sum the facts of their shards (:func:`signopt.tiger_facts`), for all tensors
    in one all-reduce, and each updates its own. Embeddings that are cut within rows, and tensors that are rounded
    stochastically, are gathered. A shard that is given as a plain tensor, out of ``to_local()``, is taken for a whole
    tensor, and no error can be raised for that.

    Examples
    --------
    >>> import torch
    >>> import signopt.torch
    >>> weight = torch.nn.Parameter(torch.full((2, 2), 4.0))
    >>> optimizer = signopt.torch.Tiger([weight], lr=0.25, weight_decay=0.0)
    >>> weight.grad = torch.ones(2, 2)
    >>> optimizer.step()
    >>> weight[0].tolist()
    [3.0, 3.0]
    """

    rule = "tiger"
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        beta: float = 0.965,
        weight_decay: float = 0.01,
        *,
        accumulation_steps: int = 1,
        shrink: float = 0.99,
        schedule: Schedule = None,
        role: str | None = None,
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        numbers = (lr, beta, weight_decay, accumulation_steps, shrink, schedule)
        storage = {"role": role, "momentum_dtype": momentum_dtype, "rounding": rounding, "seed": seed}
        super().__init__(params, dict(zip(_NUMBERS, numbers, strict=True)) | storage)

    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        return TigerCoefficients.of(step=step, **{name: group[name] for name in _NUMBERS})

    def _check_group(self, group: Group) -> None:
        super()._check_group(group)
        if group["role"] is not None:
            traits_of(group["role"])
        names = group.get("param_names") or range(len(group["params"]))
        plain = {
            str(name): (param.detach(), self._role(group, index))
            for index, (name, param) in enumerate(zip(names, group["params"], strict=True))
            if is_plain_tensor(param) and not param.is_meta
        }
        warn_about_zeros(
            {name: param for name, (param, _) in plain.items()},
            {name: role for name, (_, role) in plain.items()},
            remedy='give their group the role "bias"',
        )

    def _role(self, group: Group, index: int) -> str:
        if group["role"] is not None or "param_names" not in group:
            return group["role"] or "matrix"
        return role_of(group["param_names"][index])

    def _prepare(self, plan: Plan) -> Callable[[], None]:
        return super()._prepare(with_facts(plan))

    def _here(self, row: Row) -> Row | None:
        if not is_distributed(row.param):
            return row
        return local_row(row) if row.facts is not None else None
