"""Tiger's roles got wrong: the RMS, the rate, the decay, and which parameter has which role."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["ROLES"]

BALOVESS = "https://github.com/balovess/Tiger-Optimizer-For-Pytorch"


def _lr_only(self: TigerPort, p: Array, role: str) -> Any:
    return 0.5 * self.lr() if role in ("bias", "scale") else self.lr()


def _rms_with(change: Any) -> Any:
    return lambda self, p, role: np.asarray(change(TigerPort.rms(self, p, role)))


def _rms_along(axis_of: Any) -> Any:
    def rms(self: TigerPort, p: Array, role: str) -> Any:
        axis = axis_of(p, role)
        return np.sqrt(np.mean(np.square(p, dtype=np.float64), axis=axis, keepdims=True)) if p.size else np.float64(0)

    return rms


def _norm(self: TigerPort, p: Array, role: str) -> Any:
    per_row = role == "embedding" and p.ndim
    count = (p.shape[-1] if per_row else p.size) if p.size else 1
    return TigerPort.rms(self, p, role) * np.sqrt(float(count))


def _rms_without_mean(self: TigerPort, p: Array, role: str) -> Any:
    centred = p - p.mean() if p.size else p
    return TigerPort.rms(self, centred, role)


def _mean_magnitude(self: TigerPort, p: Array, role: str) -> Any:
    axis = -1 if role == "embedding" and p.ndim else None
    return np.mean(np.abs(p), axis=axis, keepdims=axis is not None) if p.size else np.float64(0)


def _bessel(self: TigerPort, p: Array, role: str) -> Any:
    count = p.shape[-1] if role == "embedding" and p.ndim else p.size
    return TigerPort.rms(self, p, role) * np.sqrt(count / max(count - 1, 1))


def _rms_first(self: TigerPort, p: Array, role: str) -> Any:
    return self.memo.setdefault(f"rms {role} {p.shape}", TigerPort.rms(self, p, role))


def _role_case(self: TigerPort, name: str) -> str:
    return TigerPort.role_of(self, name.lower())


def _embeddings_first(self: TigerPort, name: str) -> str:
    return "embedding" if "embeddings" in name else TigerPort.role_of(self, name)


def _by_suffix(self: TigerPort, name: str) -> str:
    return TigerPort.role_of(self, name.rsplit("/", 1)[-1])


def _by_dimension(self: TigerPort, name: str) -> str:
    return "bias" if self.p[name].ndim < 2 else "matrix"


def _given_ignored(self: TigerPort, name: str) -> str:
    return self.role_of(name)


def _name_wins(self: TigerPort, name: str) -> str:
    by_name = self.role_of(name)
    return by_name if by_name != "matrix" else TigerPort.role(self, name)


def _given_matrix_by_name(self: TigerPort, name: str) -> str:
    given = TigerPort.role(self, name)
    return given if given != "matrix" else self.role_of(name)


def _beta_before_gamma(self: TigerPort, name: str) -> str:
    return "bias" if "beta" in name else TigerPort.role_of(self, name)


def _norms_are_scales(self: TigerPort, name: str) -> str:
    return "scale" if "LayerNorm" in name and "beta" not in name else TigerPort.role_of(self, name)


def _0d_is_bias(self: TigerPort, name: str) -> str:
    return TigerPort.role(self, name) if self.p[name].ndim else "bias"


def _as(**exchanged: str) -> Any:
    def role(self: TigerPort, name: str) -> str:
        plain = TigerPort.role(self, name)
        return exchanged.get(plain, plain)

    return role


def _exempt(*roles: str) -> Any:
    return lambda self, name: float(self.role(name) not in roles)


def _half_for(*roles: str) -> Any:
    def reach(self: TigerPort, p: Array, role: str) -> Any:
        return TigerPort.reach(self, p, role) if role in roles or role not in ("bias", "scale") else self.lr()

    return reach


def _no_keepdims(self: TigerPort, p: Array, role: str) -> Any:
    rms = TigerPort.rms(self, p, role)
    return rms[..., 0] if role == "embedding" and p.ndim == 2 and p.shape[0] == p.shape[1] else rms


def _rms_but_first(self: TigerPort, p: Array, role: str) -> Any:
    if role != "embedding" or p.ndim < 3:
        return TigerPort.rms(self, p, role)
    return np.sqrt(np.mean(np.square(p, dtype=np.float64), axis=tuple(range(1, p.ndim)), keepdims=True))


ROLES: list[Row] = [
    ("rms-no-keepdims", "the RMS of rows applied to columns in square embeddings", {"rms": _no_keepdims}),
    ("rms-all-but-first", "an embedding's RMS over all axes but the first", {"rms": _rms_but_first}),
    ("rms-missing", "the rate not multiplied by RMS(θ)", {"reach": _lr_only}),
    (
        "rms-everywhere",
        "RMS(θ) for biases and scales too",
        {"reach": lambda self, p, role: p.dtype.type(self.lr()) * TigerPort.rms(self, p, "matrix").astype(p.dtype)},
        BALOVESS,
    ),
    ("rms-norm", "the norm of θ for its RMS", {"rms": _norm}),
    ("rms-by-row", "RMS by row for matrices", {"rms": lambda self, p, role: TigerPort.rms(self, p, "embedding")}),
    (
        "rms-whole-embedding",
        "RMS of the whole tensor for embeddings",
        {"rms": lambda self, p, role: TigerPort.rms(self, p, "matrix")},
    ),
    (
        "rms-columns",
        "RMS along the first axis for embeddings",
        {"rms": _rms_along(lambda p, role: 0 if role == "embedding" and p.ndim else None)},
    ),
    ("rms-epsilon", "RMS(θ) + 1e-6", {"rms": _rms_with(lambda r: r + 1e-6)}),
    ("rms-floor", "RMS(θ) no smaller than 1e-3", {"rms": _rms_with(lambda r: np.maximum(r, 1e-3))}),
    ("rms-epsilon-tiny", "RMS(θ) + 1e-12: zeros move", {"rms": _rms_with(lambda r: r + 1e-12)}),
    ("rms-zero-is-one", "an RMS of zero taken as 1", {"rms": _rms_with(lambda r: np.where(r == 0, 1.0, r))}),
    ("rms-capped", "RMS(θ) no larger than 1", {"rms": _rms_with(lambda r: np.minimum(r, 1.0))}),
    ("rms-not-squared", "the mean square without its root", {"rms": _rms_with(np.square)}),
    ("rms-deviation", "the standard deviation for the RMS", {"rms": _rms_without_mean}),
    ("rms-magnitude", "the mean magnitude for the RMS", {"rms": _mean_magnitude}),
    ("rms-bessel", "the mean over n−1", {"rms": _bessel}),
    (
        "rms-of-gradient",
        "the RMS of the gradient",
        {
            "gradient": w.remember_gradient,
            "rms": lambda self, p, role: TigerPort.rms(self, self.memo["gradient"], role),
        },
    ),
    ("rms-of-first-step", "the RMS of the first step kept", {"rms": _rms_first}),
    (
        "rms-largest",
        "the largest |θ| for the RMS",
        {
            "rms": lambda self, p, role: np.max(
                np.abs(p),
                axis=-1 if role == "embedding" and p.ndim else None,
                keepdims=bool(role == "embedding" and p.ndim),
                initial=0.0,
            )
        },
    ),
    ("rms-float16", "RMS(θ) held in float16", {"rms": _rms_with(lambda r: np.asarray(r).astype(np.float16))}),
    ("rate-bias-whole", "the whole rate for biases", {"reach": _half_for("scale")}),
    ("rate-scale-whole", "the whole rate for scales", {"reach": _half_for("bias")}),
    ("rate-bias-and-scale-whole", "no 0.5 on biases and scales", {"reach": _half_for()}),
    (
        "rate-matrix-halved",
        "0.5 on matrices too",
        {"reach": lambda self, p, role: TigerPort.reach(self, p, role) * (0.5 if role == "matrix" else 1)},
    ),
    (
        "rate-embedding-halved",
        "0.5 on embeddings too",
        {"reach": lambda self, p, role: TigerPort.reach(self, p, role) * (0.5 if role == "embedding" else 1)},
    ),
    ("role-decay-bias", "biases decay", {"decays": _exempt("scale")}),
    ("role-decay-scale", "scales decay", {"decays": _exempt("bias")}),
    ("role-decay-everywhere", "every role decays", {"decays": _exempt()}),
    ("role-decay-not-embedding", "embeddings do not decay", {"decays": _exempt("bias", "scale", "embedding")}),
    ("role-decay-nowhere", "matrices do not decay", {"decays": _exempt("bias", "scale", "matrix")}),
    ("role-scale-as-bias", "gamma taken for a bias", {"role": _as(scale="bias")}),
    ("role-bias-as-scale", "biases taken for scales", {"role": _as(bias="scale")}),
    ("role-embedding-as-matrix", "embeddings taken for matrices", {"role": _as(embedding="matrix")}),
    ("role-matrix-as-embedding", "matrices taken for embeddings", {"role": _as(matrix="embedding")}),
    ("role-bias-as-matrix", "biases taken for matrices", {"role": _as(bias="matrix")}, BALOVESS),
    ("role-scale-as-matrix", "scales taken for matrices", {"role": _as(scale="matrix")}, BALOVESS),
    ("role-embeddings-first", "embeddings looked for before gamma and beta", {"role_of": _embeddings_first}),
    ("role-last-part", "only the last part of a name looked at", {"role_of": _by_suffix}),
    (
        "role-singular",
        "embedding looked for instead of embeddings",
        {"role_of": lambda self, name: TigerPort.role_of(self, name.replace("embedding", "embeddings"))},
    ),
    (
        "role-no-beta",
        "beta not looked for: a norm's shift is a matrix",
        {"role_of": lambda self, name: TigerPort.role_of(self, name.replace("beta", "shift"))},
    ),
    ("role-by-dimension", "vectors are biases and all else matrices", {"role": _by_dimension}),
    ("role-name-wins", "a telling name preferred to the role given", {"role": _name_wins}),
    ("role-given-matrix-by-name", "the role given taken for none where it is matrix", {"role": _given_matrix_by_name}),
    ("role-beta-first", "beta looked for before gamma", {"role_of": _beta_before_gamma}),
    ("role-layernorm-is-scale", "all of a LayerNorm but beta a scale", {"role_of": _norms_are_scales}),
    ("role-0d-is-bias", "0-d parameters taken for biases", {"role": _0d_is_bias}),
    ("role-given-ignored", "the roles given ignored", {"role": _given_ignored}),
    ("role-case", "names looked at in lower case", {"role_of": _role_case}),
]
