"""Muon: bugs of its own, and those of any rule that do not concern a sign."""

from __future__ import annotations

from collections.abc import Mapping

from signopt.conformance.mutants.common import common
from signopt.conformance.mutants.muon_blocks import BLOCKS
from signopt.conformance.mutants.muon_company import COMPANY
from signopt.conformance.mutants.muon_direction import DIRECTION, NORM, NORM_DOUBLE
from signopt.conformance.mutants.muon_iteration import ITERATION, ITERATION_DOUBLE
from signopt.conformance.mutants.muon_late import LATE
from signopt.conformance.mutants.muon_shape import SHAPE
from signopt.conformance.mutants.muon_spectral import SPECTRAL
from signopt.conformance.mutants.muon_stored import HALVES, STORED
from signopt.conformance.numpy_ports.variant import Variant, variant

__all__ = ["MUON"]

_SHARED_MEANINGLESS = {
    "decay-not-1d", "element-0d-skipped", "lr-default", "decay-moving-only", "cautious",
    "cautious-kept-plus-one", "adam",
}  # fmt: skip
"""Bugs of any rule that a matrix rule cannot have, or has under a name of its own."""

_JORDAN = "https://github.com/KellerJordan/Muon/blob/master/muon.py"
SOURCES: Mapping[str, str] = {
    "look-ahead-grokfast": "https://github.com/HomebrewML/HeavyBall/blob/main/heavyball/utils.py",
    "momentum-of-x": "https://github.com/TheAlgorithms/Python/pull/13724",
    "momentum-corrected-unequally": "https://github.com/google-deepmind/optax/blob/main/optax/contrib/_muon.py",
    "momentum-normalised": "https://github.com/pytorch/pytorch/pull/194664",
    "momentum-warmed": "https://github.com/KellerJordan/modded-nanogpt/blob/master/train_gpt.py",
    "norm-safety": "https://github.com/KellerJordan/modded-nanogpt/pull/81",
    "epsilon-thousandfold": "https://github.com/NVIDIA-NeMo/Emerging-Optimizers/issues/229",
    "epsilon-by-sides": "https://github.com/huggingface/pytorch-image-models/blob/main/timm/optim/muon.py",
    "zero-is-nan": "https://github.com/NVIDIA-NeMo/Emerging-Optimizers/blob/main/emerging_optimizers/"
    "orthogonalized_optimizers/muon_utils.py",
    "coefficients-quintic": "https://github.com/microsoft/dion/blob/main/dion/newton_schulz_triton.py",
    "coefficients-polar-express": "https://github.com/KellerJordan/modded-nanogpt/blob/master/train_gpt.py",
    "x-untransposed-v": "https://github.com/HomebrewML/HeavyBall/blob/main/heavyball/utils.py",
    "x-clipped": "https://github.com/deepspeedai/DeepSpeed/pull/7776",
    "x-rows-normalised": "https://github.com/KellerJordan/modded-nanogpt/blob/master/train_gpt.py",
    "x-cautious": "https://github.com/KellerJordan/modded-nanogpt/blob/master/train_gpt.py",
    "axes-three-batched": _JORDAN,
    "axes-four-batched": "https://github.com/microsoft/dion/blob/main/dion/muon.py",
    "scale-kernel": "https://github.com/KellerJordan/Muon/issues/63",
    "scale-inputs-first": "https://github.com/keras-team/keras/pull/21885",
    "scale-missing": "https://github.com/tinygrad/tinygrad/blob/master/tinygrad/nn/optim.py",
    "scale-missing-original": "https://github.com/keras-team/keras/blob/master/keras/src/optimizers/muon.py",
    "scale-exchanged": "https://github.com/kozistr/pytorch_optimizer/blob/main/pytorch_optimizer/optimizer/muon.py",
    "scale-without-max": "https://github.com/microsoft/dion/blob/main/dion/muon_reference.py",
    "scale-without-fifth": "https://github.com/NVIDIA-NeMo/Emerging-Optimizers/blob/main/emerging_optimizers/"
    "orthogonalized_optimizers/muon.py",
    "vectors-by-momentum": "https://github.com/ml-explore/mlx/blob/main/python/mlx/optimizers/optimizers.py",
    "role-embedding": "https://github.com/keras-team/keras/blob/master/keras/src/optimizers/muon.py",
    "absent-as-zero": "https://github.com/KellerJordan/Muon/issues/54",
    "stack-mixed": "https://github.com/microsoft/dion/pull/121",
    "gradient-lerped": _JORDAN,
    "decay-coupled": "https://github.com/ml-explore/mlx/blob/main/python/mlx/optimizers/optimizers.py",
    "decay-missing": "https://github.com/tinygrad/tinygrad/pull/17709",
}

_OWN = tuple(
    variant("muon", key, summary, SOURCES.get(key, ""), dtypes, **pieces)
    for rows, dtypes in (
        ([*DIRECTION, *NORM, *ITERATION, *SHAPE, *SPECTRAL, *COMPANY, *BLOCKS, *LATE], ("float32", "float64")),
        ([*NORM_DOUBLE, *ITERATION_DOUBLE], ("float64",)),
        (STORED, HALVES),
    )
    for key, summary, pieces in rows
)

_SHARED = tuple(
    Variant(each.id, each.rule, each.summary, each.pieces, SOURCES.get(each.id, ""), each.dtypes)
    for each in common("muon", lambda key: key.startswith("sign-") or key in _SHARED_MEANINGLESS)
)

MUON: tuple[Variant, ...] = (*_OWN, *_SHARED)
