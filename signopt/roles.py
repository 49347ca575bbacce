"""Tiger's roles: what a parameter is decides its rate, its decay and the centre it is pulled to after a NaN.

========== ============================== ============ ======
role       rate                           weight decay centre
========== ============================== ============ ======
matrix     lr·RMS(param), whole tensor    yes          0
embedding  lr·RMS(row), along last axis   yes          0
bias       0.5·lr                         no           0
scale      0.5·lr                         no           1
========== ============================== ============ ======
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["ROLES", "Role", "RoleTraits", "assign_roles", "role_of", "traits_of"]

Role = Literal["matrix", "embedding", "bias", "scale"]


@dataclass(frozen=True)
class RoleTraits:
    """What Tiger does with parameters of one role.

    Attributes
    ----------
    rms : {"tensor", "row", None}
        Over what the root mean square that multiplies the rate is taken; None: the rate is 0.5·lr.
    decays : bool
        Whether weight decay applies.
    centre : float
        The value towards which a NaN gradient shrinks the parameter.
    """

    rms: Literal["tensor", "row"] | None
    decays: bool
    centre: float


_TRAITS: dict[str, RoleTraits] = {
    "matrix": RoleTraits(rms="tensor", decays=True, centre=0.0),
    "embedding": RoleTraits(rms="row", decays=True, centre=0.0),
    "bias": RoleTraits(rms=None, decays=False, centre=0.0),
    "scale": RoleTraits(rms=None, decays=False, centre=1.0),
}

ROLES: tuple[str, ...] = tuple(_TRAITS)
"""The four roles."""


def traits_of(role: Any, name: str = "role") -> RoleTraits:
    """The traits of ``role``.

    Raises
    ------
    ValueError
        If there is no such role.
    """
    if not isinstance(role, str) or role not in _TRAITS:
        raise ValueError(f"{name} must be one of {', '.join(ROLES)}; got {role!r}")
    return _TRAITS[role]


def role_of(name: str) -> str:
    """The role that the Tiger source reads from a parameter's name, by substring.

    ``bias``, ``beta`` and ``gamma`` are looked for first, then ``embeddings``; all else is a matrix. The order matters:

    >>> role_of("bert/embeddings/LayerNorm/gamma"), role_of("bert/embeddings/word"), role_of("dense/kernel")
    ('scale', 'embedding', 'matrix')
    """
    if "gamma" in name:
        return "scale"
    if "bias" in name or "beta" in name:
        return "bias"
    return "embedding" if "embeddings" in name else "matrix"


def assign_roles(roles: Mapping[str, str] | Sequence[str] | None, names: Sequence[str]) -> dict[str, str]:
    """One role for every name: as given, else as :func:`role_of` reads it from the name.

    Parameters
    ----------
    roles : mapping, sequence or None
        {name: role} for some or all names, or one role per parameter in order.
    names : sequence of str
        The parameters' names.

    Raises
    ------
    ValueError
        For an unknown role, a name that is no parameter's, or a sequence of another length.
    """
    by_name = {name: role_of(name) for name in names}
    if roles is None:
        return by_name
    if isinstance(roles, str):
        raise TypeError(f"roles must be a mapping {{name: role}} or a sequence of roles, got the string {roles!r}")
    if not isinstance(roles, Mapping):
        if len(roles) != len(names):
            raise ValueError(f"roles has {len(roles)} entries for {len(names)} parameters")
        roles = dict(zip(names, roles, strict=True))
    if strangers := sorted(set(roles) - set(names)):
        raise ValueError(f"roles names no such parameter: {', '.join(map(repr, strangers))}")
    for name, role in roles.items():
        traits_of(role, f"roles[{name!r}]")
    return {**by_name, **roles}
