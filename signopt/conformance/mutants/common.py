"""Bugs that a port of any sign rule can have, with the real ports that have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from signopt.conformance.mutants.common_habits import HABITS
from signopt.conformance.mutants.common_published import PUBLISHED, PUBLISHED_SOURCES
from signopt.conformance.mutants.common_sign import RATE, SIGN
from signopt.conformance.mutants.common_state import DECAY, MOMENTUM
from signopt.conformance.mutants.common_tensors import DOUBLE_ONLY, TENSORS, VALUES
from signopt.conformance.numpy_ports.variant import Variant, variant

__all__ = ["CPU_LION", "PYTORCH_OPTIMIZER", "common"]

FUSED = "https://github.com/deepspeedai/DeepSpeed/blob/master/csrc/lion/multi_tensor_lion.cu"
TRITON = "https://github.com/lucidrains/lion-pytorch/blob/main/lion_pytorch/triton.py"
CAUTIOUS = "https://github.com/lucidrains/lion-pytorch/blob/main/lion_pytorch/cautious_lion.py"
CPU_LION = "https://github.com/deepspeedai/DeepSpeed/blob/master/csrc/includes/cpu_lion_impl.cpp"
BNB = "https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1992"
MOSAIC = "https://github.com/mosaicml/llm-foundry/blob/main/llmfoundry/optim/lion.py"
DECOUPLED = "https://github.com/lucidrains/lion-pytorch/blob/main/lion_pytorch/lion_pytorch.py"
MRSTEYK = "https://github.com/mrsteyk/tiger-pytorch"
PYTORCH_OPTIMIZER = "https://github.com/kozistr/pytorch_optimizer/pull/516"

SOURCES: Mapping[str, str] = {
    **PUBLISHED_SOURCES,
    "sign-not-positive-is-minus": FUSED,
    "sign-copysign": CPU_LION,
    "first-step-repeated": TRITON,
    "cautious": CAUTIOUS,
    "decay-coupled": BNB,
    "decay-lr-over-lr0": MOSAIC,
    "decay-without-lr": DECOUPLED,
    "no-op": MRSTEYK,
    "momentum-reset": PYTORCH_OPTIMIZER,
}


def common(rule: str, without: Callable[[str], bool] = lambda key: False) -> tuple[Variant, ...]:
    """These bugs as mutants of ``rule``, save those that ``without`` says make no sense there."""
    anywhere = [*SIGN, *RATE, *DECAY, *MOMENTUM, *TENSORS, *VALUES, *HABITS, *PUBLISHED]
    return tuple(
        variant(rule, key, summary, SOURCES.get(key, ""), dtypes, **pieces)
        for rows, dtypes in ((anywhere, ("float32", "float64")), (DOUBLE_ONLY, ("float64",)))
        for key, summary, pieces in rows
        if not without(key)
    )
