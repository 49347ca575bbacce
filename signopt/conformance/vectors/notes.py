"""Flags of vectors: the known bug that each stands for, and where it was found."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["NOTES"]

_LION = "https://arxiv.org/abs/2302.06675"
_SIGNUM = "https://arxiv.org/abs/1802.04434"
_TIGER = "https://kexue.fm/archives/9512"
_ACCUMULATION = "https://kexue.fm/archives/8634"


def _note(bug: str, effect: str, *links: str) -> Mapping[str, object]:
    return {"bug": bug, "effect": effect, "links": list(links)}


NOTES: Mapping[str, Mapping[str, object]] = {
    "BetasSwapped": _note(
        "beta1 and beta2 exchanged, or one of them used for both averages",
        "the step follows the gradient where the momentum should win, and the momentum forgets at the wrong rate",
        "https://github.com/FluxML/Optimisers.jl/blob/v0.4.8/src/rules.jl",
        _LION,
    ),
    "SmallDirection": _note(
        "the sign is not taken but approximated, or made with a wrong bit mask",
        "parameters with a small |c| hardly move, those with a large one move by multiples of the rate",
        "https://github.com/deepspeedai/DeepSpeed/pull/4331",
    ),
    "ZeroGradient": _note(
        "sign(0) taken as ±1: copysign, or a comparison with only two outcomes",
        "parameters that get no gradient drift by the rate at every step",
        "https://github.com/deepspeedai/DeepSpeed/blob/master/csrc/includes/cpu_lion.h",
        "https://github.com/deepspeedai/DeepSpeed/blob/master/csrc/lion/multi_tensor_lion.cu",
    ),
    "MomentumNotWritten": _note(
        "the momentum is computed into a temporary and never stored, or set back at every step",
        "the optimizer is signSGD",
        "https://github.com/Tongjilibo/bert4torch",
        "https://github.com/kozistr/pytorch_optimizer/pull/516",
    ),
    "OldMomentum": _note(
        "Lion's direction made from the momentum after its update",
        "the gradient counts twice in the direction",
        _LION,
    ),
    "CoupledDecay": _note(
        "weight decay added to the gradient, inside the sign and the momentum",
        "decay acts as a vote on the direction instead of a pull towards zero",
        "https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1992",
    ),
    "DecayWithoutRate": _note(
        "decay not multiplied by the learning rate, or by another one",
        "parameters shrink thousands of times too fast, or not at all when the rate changes",
        "https://github.com/lucidrains/lion-pytorch",
        "https://github.com/mosaicml/composer",
    ),
    "DecayMissing": _note(
        "weight decay accepted and ignored",
        "parameters do not shrink",
        "https://github.com/kozistr/pytorch_optimizer/pull/516",
    ),
    "CautiousByDefault": _note(
        "steps masked where the direction disagrees with the gradient",
        "elements that should move stand still",
        "https://arxiv.org/abs/2411.16085",
    ),
    "Tail": _note(
        "a vector loop that skips or repeats the elements beyond a multiple of its width",
        "the last elements of a tensor do not move, or move twice",
    ),
    "SeveralTensors": _note(
        "state or step shared between tensors, or only the first one updated",
        "a tensor follows the gradients of another",
    ),
    "Clipping": _note(
        "gradients clipped or normalised although nobody asked for it",
        "a large gradient leaves too small a trace in the momentum",
    ),
    "NaN": _note(
        "a NaN that is swallowed although the port says it propagates, or the other way round",
        "an overflow goes unnoticed: parameters take ordinary steps on garbage",
        "https://github.com/lucidrains/lion-pytorch/issues/33",
        "https://github.com/pytorch/pytorch/issues/41245",
    ),
    "Inf": _note(
        "an infinite gradient that loses its sign before the sign is taken",
        "the step goes missing, or the parameter becomes NaN",
        "https://github.com/lucidrains/lion-pytorch/issues/35",
    ),
    "Subnormal": _note(
        "subnormal numbers flushed to zero without saying so",
        "parameters with very small momentum stop moving",
    ),
    "NearZero": _note(
        "coefficients a little off, or computed in too narrow a type",
        "the direction flips where the momentum and the gradient nearly cancel",
    ),
    "DecayUnderflow": _note(
        "1 − lr·wd rounded to 1 in a narrow type",
        "decay vanishes silently for small rates",
    ),
    "NoRMS": _note(
        "the rate not multiplied by the root mean square of the parameter, or of the wrong slice of it",
        "matrices and embeddings move by another amount",
        "https://github.com/kozistr/pytorch_optimizer",
        _TIGER,
    ),
    "Roles": _note(
        "biases and scales treated as matrices: no factor of one half, or decay where there is none",
        "biases that start at zero never move, gains shrink",
        "https://github.com/bojone/tiger/blob/main/tiger.py",
    ),
    "Window": _note(
        "accumulation with a sum instead of a mean, with decay at every micro-step, or off by one",
        "k micro-steps differ from one step on their mean gradient",
        _ACCUMULATION,
    ),
    "NaNRule": _note(
        "Tiger's rule for NaN gradients missing, taken element by element, or also applied to Inf",
        "a bad batch poisons the momentum, or shrinks the wrong tensors",
        _TIGER,
    ),
    "Schedule": _note(
        "the schedule counted in steps instead of micro-steps, shifted by one, or extrapolated",
        "warm-up ends at the wrong time",
        "https://github.com/bojone/tiger/blob/main/tiger.py",
    ),
    "SignSGD": _note("beta = 0 mishandled", "Signum without momentum is signSGD", _SIGNUM),
}
