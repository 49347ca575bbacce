"""Tiger's roles, read from the modules of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from signopt.roles import ROLES, role_of

__all__ = ["groups"]

_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)


def groups(model: nn.Module) -> list[dict[str, Any]]:
    """The trainable parameters of a model in groups by role, for :class:`signopt.torch.Tiger`.

    ========== ===================================================================================================
    role       parameters
    ========== ===================================================================================================
    embedding  the weight of Embedding and EmbeddingBag, also if another module shares it; a parameter whose own
               name says that it embeds (``pos_embed``)
    scale      the vector ``weight`` of a norm: LayerNorm, GroupNorm, RMSNorm, BatchNorm and InstanceNorm, and any
               module whose class is called a norm; a parameter whose own name contains ``gamma``
    bias       a parameter whose own name contains ``bias`` or ``beta``
    matrix     everything else
    ========== ===================================================================================================

    The source reads roles from names, of which torch's say less: ``encoder.norm.weight`` would be a matrix.

    Parameters
    ----------
    model : torch.nn.Module
        Wrapped or not: what DDP, FSDP2 and ``torch.compile`` make of a model keeps its modules.

    Returns
    -------
    list of dict
        Groups for any optimizer of torch: ``{"params": [...], "role": role}``, in the order of the table in
        :mod:`signopt.roles`, without empty ones. To a group one may add hyperparameters.

    Examples
    --------
    >>> from torch import nn
    >>> import signopt.torch
    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 9))
    >>> [(group["role"], len(group["params"])) for group in signopt.torch.groups(model)]
    [('matrix', 1), ('embedding', 1), ('bias', 2), ('scale', 1)]
    """
    roles: dict[Tensor, str] = {}
    for param, role in _owned(model):
        if role == "embedding" or param not in roles:
            roles[param] = role
    by_role = {role: [param for param, its in roles.items() if its == role] for role in ROLES}
    return [{"params": params, "role": role} for role, params in by_role.items() if params]


def _owned(model: nn.Module) -> Iterator[tuple[Tensor, str]]:
    for module in model.modules():
        for name, param in module.named_parameters(recurse=False):
            if param.requires_grad:
                yield param, _role(module, name, param)


def _role(module: nn.Module, name: str, param: Tensor) -> str:
    if isinstance(module, _EMBEDDINGS) and name == "weight":
        return "embedding"
    is_norm = isinstance(module, _NORMS) or "norm" in type(module).__name__.lower()
    if is_norm and name in {"weight", "scale"} and param.ndim == 1:
        return "scale"
    by_name = role_of(name)
    return "embedding" if by_name == "matrix" and "embed" in name.lower() and param.ndim > 1 else by_name
