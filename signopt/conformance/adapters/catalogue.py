"""The published implementations that the suite knows how to drive, one table row each.

A row says which class it is, where its momentum lies, and what its author chose if the rule leaves a
choice: whether the decay comes first, what the sign of NaN is, whether subnormals survive. All of it was read
from the source of the version that the lock file of the field pins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from signopt.conformance.adapters.candidate import Candidate, defaults_of, lone_module, version_of
from signopt.conformance.adapters.deepspeed import deepspeed_cpu_lion
from signopt.conformance.adapters.keras import KerasPort
from signopt.conformance.adapters.mlx import MlxPort
from signopt.conformance.adapters.muon import MUONS
from signopt.conformance.adapters.optax import OptaxPort
from signopt.conformance.adapters.torch import TorchPort
from signopt.conformance.port import Port

__all__ = ["CATALOGUE"]

Keywords = Mapping[str, Any]
Make = Callable[[Keywords], Keywords]


def _lion_split_betas(hyper: Keywords) -> Keywords:
    beta1, beta2 = hyper["betas"]
    return {"lr": hyper["lr"], "beta1": beta1, "beta2": beta2, "weight_decay": hyper["weight_decay"]}


def _signum(hyper: Keywords) -> Keywords:
    return {"lr": hyper["lr"], "momentum": hyper["beta"], "weight_decay": hyper["weight_decay"]}


def _tiger(hyper: Keywords) -> Keywords:
    if hyper["accumulation_steps"] != 1 or hyper["schedule"] is not None:
        raise ValueError("this Tiger has neither accumulation nor a schedule")
    return {name: hyper[name] for name in ("lr", "beta", "weight_decay")}


_ARGUMENTS: Mapping[str, Make] = {"lion": dict, "signum": _signum, "tiger": _tiger}
_EVERY_DTYPE = ("float32", "float64", "float16", "bfloat16")
_TORCH_CHOICES: Keywords = {"dtypes": _EVERY_DTYPE, "compute": "storage", "nan": "zero", "decay": "first"}
_TWO_DTYPES: dict[str, Any] = {"dtypes": ("float32", "float64"), "compute": "float32"}


def _torch(
    name: str,
    rule: str,
    distribution: str,
    target: str,
    *,
    options: Keywords | None = None,
    settings: Make | None = None,
    lone: bool = False,
    device: str = "cpu",
    variant: str = "",
    **rest: Any,
) -> Candidate:
    arguments = _ARGUMENTS[rule]

    def build() -> Port:
        module, _, attribute = target.partition(":")
        optimizer = getattr((lone_module if lone else import_module)(module), attribute)
        return TorchPort(
            name,
            rule,
            lambda params, hyper: optimizer(params, **arguments(hyper), **(options or {})),
            settings or arguments,
            device=device,
            constructor_defaults=defaults_of(optimizer),
            **{"version": version_of(distribution), **_TORCH_CHOICES, **rest},
        )

    modules = ("torch", target.partition(":")[0].partition(".")[0])
    return Candidate(name, rule, distribution, modules, build, device=device, variant=variant)


def _optax(name: str, rule: str, target: str, transform: Callable[[Keywords], Any], **rest: Any) -> Candidate:
    def build() -> Port:
        declared: dict[str, Any] = {
            "version": version_of("optax"),
            "dtypes": ("float32", "float64"),
            "nan": "propagate",
            "subnormals": "flush",
            "decay": "bracket",
            "constructor_defaults": defaults_of(getattr(import_module("optax"), target)),
        }
        return OptaxPort(name, rule, transform, **declared, **rest)

    return Candidate(name, rule, "optax", ("jax", "optax"), build)


def _optax_lion(hyper: Keywords) -> Any:
    import optax

    return optax.lion(hyper["lr"], *hyper["betas"], weight_decay=hyper["weight_decay"])


def _optax_signum(hyper: Keywords) -> Any:
    """optax.signum has no decay; after its rate, the term that decays is −lr·λ·p."""
    import optax

    lr, decay = hyper["lr"], hyper["weight_decay"]
    return optax.chain(optax.signum(lr, hyper["beta"]), optax.add_decayed_weights(-lr * decay))


def _keras(backend: str, **choices: Any) -> Candidate:
    name = f"keras/{backend}"

    def build() -> Port:
        declared: dict[str, Any] = {
            "version": version_of("keras"),
            "dtypes": ("float32", "float64"),
            "decay": "first",
            "constructor_defaults": defaults_of(import_module("keras").optimizers.Lion),
        }
        return KerasPort(name, "lion", **declared, **choices)

    return Candidate(name, "lion", "keras", ("keras", backend), build, {"KERAS_BACKEND": backend})


def _mlx() -> Port:
    return MlxPort(
        "mlx",
        "lion",
        version=version_of("mlx"),
        dtypes=("float32",),
        nan="zero",
        decay="first",
        constructor_defaults=defaults_of(import_module("mlx.optimizers").Lion),
    )


_WITHOUT_LR = "the decay is multiplied by the ratio of the rate to the first rate, not by the rate (an option)"
# In 16 bits torch-optimi compensates its sums and adv-optm rounds at random: choices that no rule of ours describes.
_OPTIMI: dict[str, Any] = {"settings": _lion_split_betas, "beside": {"kahan_comp": None}, **_TWO_DTYPES}
_BNB: dict[str, Any] = {
    "momentum": "state1",
    "beside": {"step": 0},
    "dtypes": ("float32", "float16", "bfloat16"),
    "compute": "float32",
    "momentum_dtype": "float32",
}

CATALOGUE: tuple[Candidate, ...] = (
    _torch("lion-pytorch", "lion", "lion-pytorch", "lion_pytorch:Lion"),
    _torch(
        "lion-pytorch/triton",
        "lion",
        "lion-pytorch",
        "lion_pytorch:Lion",
        options={"use_triton": True},
        device="cuda",
    ),
    _torch("lion-pytorch/foreach", "lion", "lion-pytorch", "lion_pytorch.foreach:Lion"),
    _torch(
        "lion-pytorch/decoupled",
        "lion",
        "lion-pytorch",
        "lion_pytorch:Lion",
        options={"decoupled_weight_decay": True},
        variant=_WITHOUT_LR,
    ),
    _torch(
        "lion-pytorch/cautious",
        "lion",
        "lion-pytorch",
        "lion_pytorch.cautious_lion:Lion",
        variant="updates whose sign disagrees with the gradient are masked and the rest scaled up (arXiv 2411.16085)",
    ),
    _torch(
        "lion-pytorch/cautious, factor 1",
        "lion",
        "lion-pytorch",
        "lion_pytorch.cautious_lion:Lion",
        options={"cautious_factor": 1.0},
    ),
    _torch("torch-optimi", "lion", "torch-optimi", "optimi:Lion", options={"foreach": False}, **_OPTIMI),
    _torch(
        "torch-optimi/triton",
        "lion",
        "torch-optimi",
        "optimi:Lion",
        options={"triton": True},
        device="cuda",
        **_OPTIMI,
    ),
    _torch("torch-optimi/foreach", "lion", "torch-optimi", "optimi:Lion", options={"foreach": True}, **_OPTIMI),
    _torch(
        "torch-optimi/decoupled",
        "lion",
        "torch-optimi",
        "optimi:Lion",
        options={"foreach": False, "decouple_lr": True},
        variant=_WITHOUT_LR,
        **_OPTIMI,
    ),
    *(
        _torch(
            f"pytorch-optimizer/{'foreach' if foreach else 'loop'}",
            rule,
            "pytorch-optimizer",
            f"pytorch_optimizer:{name}",
            options={"foreach": foreach},
            momentum=momentum,
        )
        for rule, name, momentum in (
            ("lion", "Lion", "exp_avg"),
            ("signum", "SignSGD", "momentum_buffer"),
            ("tiger", "Tiger", "exp_avg"),
        )
        for foreach in (False, True)
    ),
    _optax("optax", "lion", "lion", _optax_lion),
    _optax("optax/jit", "lion", "lion", _optax_lion, jit=True),
    _optax("optax", "signum", "signum", _optax_signum, momentum="ema"),
    _keras("torch", nan="zero"),
    _keras("jax", nan="propagate", subnormals="flush"),
    _keras("tensorflow", nan="propagate", subnormals="flush"),
    Candidate("mlx", "lion", "mlx", ("mlx",), _mlx),
    _torch("timm", "lion", "timm", "timm.optim.lion:Lion", options={"foreach": False}, lone=True),
    _torch("timm/foreach", "lion", "timm", "timm.optim.lion:Lion", options={"foreach": True}, lone=True),
    _torch("bitsandbytes", "lion", "bitsandbytes", "bitsandbytes.optim:Lion", **_BNB),
    _torch("bitsandbytes/cuda", "lion", "bitsandbytes", "bitsandbytes.optim:Lion", device="cuda", **_BNB),
    _torch("bert4torch", "lion", "bert4torch", "bert4torch.optimizers:Lion", lone=True),
    _torch("bert4torch", "tiger", "bert4torch", "bert4torch.optimizers:Tiger", lone=True),
    _torch("adv-lion", "lion", "adv-lion", "adv_lion:Lion", beside={"step": 0}, **_TWO_DTYPES),
    _torch("adv-optm", "lion", "adv-optm", "adv_optm:Lion_adv", **_TWO_DTYPES),
    _torch("adv-optm", "signum", "adv-optm", "adv_optm:SignSGD_adv", **_TWO_DTYPES),
    _torch(
        "flashoptim",
        "lion",
        "flashoptim",
        "flashoptim:FlashLion",
        options={"quantize": False, "master_weight_bits": None, "compress_state_dict": False, "fused": False},
        momentum=None,
        dtypes=("float32",),
        compute="float32",
    ),
    deepspeed_cpu_lion("simd"),
    deepspeed_cpu_lion("scalar"),
    *MUONS,
)
