"""DeepSpeed's CPU Lion, compiled by DeepSpeed's own builder, on its vector path and on its scalar path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from signopt.conformance.adapters.candidate import Candidate, defaults_of, version_of
from signopt.conformance.adapters.torch import TorchPort
from signopt.conformance.port import Port

if TYPE_CHECKING:
    import torch

__all__ = ["deepspeed_cpu_lion"]

Path = Literal["simd", "scalar"]


def deepspeed_cpu_lion(path: Path) -> Candidate:
    """Return the candidate for one path; its first ``build`` compiles it: minutes, and needs g++ and ninja.

    Which path a user gets is decided by the CPU at build time: the vector path if there is AVX2 or AVX-512,
    the scalar path elsewhere. The scalar path is built here as DeepSpeed builds it on a CPU without either.
    """

    def build() -> Port:
        _compile(path)
        return TorchPort(
            f"deepspeed/{path}",
            "lion",
            lambda params, hyper: _optimizer(path, params, hyper),
            dict,
            beside={"step": 0},
            version=version_of("deepspeed"),
            dtypes=("float32",),
            decay="first",
            constructor_defaults=defaults_of(import_module("deepspeed.ops.lion").DeepSpeedCPULion),
        )

    return Candidate(f"deepspeed/{path}", "lion", "deepspeed", ("torch", "deepspeed", "cpuinfo", "ninja"), build)


def _compile(path: Path) -> None:
    import torch

    _optimizer(path, [torch.nn.Parameter(torch.zeros(1))], {"lr": 1.0, "betas": (0.9, 0.99), "weight_decay": 0.0})


def _optimizer(path: Path, params: list[torch.nn.Parameter], hyper: Mapping[str, Any]) -> torch.optim.Optimizer:
    from deepspeed.ops.lion import cpu_lion

    built_for_this_cpu = cpu_lion.CPULionBuilder

    class ScalarBuilder(built_for_this_cpu):  # type: ignore[misc, valid-type]
        NAME = "cpu_lion_scalar"

        def simd_width(self) -> str:
            return "-D__SCALAR__"

    cpu_lion.CPULionBuilder = ScalarBuilder if path == "scalar" else built_for_this_cpu
    try:
        optimizer: torch.optim.Optimizer = cpu_lion.DeepSpeedCPULion(params, **hyper)
    finally:
        cpu_lion.CPULionBuilder = built_for_this_cpu
    return optimizer
