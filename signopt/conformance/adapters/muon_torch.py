"""The published Muons that are optimizers of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from signopt.conformance.adapters.candidate import Candidate, lone_module, version_of
from signopt.conformance.adapters.muon_arguments import Keywords, chosen, listed, repeated, triple
from signopt.conformance.adapters.torch import TorchPort
from signopt.conformance.port import Port

__all__ = ["TORCH_MUONS"]

_ITERATION = ("ns_coefficients", "ns_steps", "eps")
_YOU = (
    (4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)  # fmt: skip
"""The coefficients of You Jiacheng, one triple for each of five applications."""
_UNCOMPILED = {"TORCHDYNAMO_DISABLE": "1"}
"""For what is compiled anew for each shape, which takes minutes and is not what is judged."""


def _of_torch(hyper: Keywords) -> Keywords:
    names = ("lr", "weight_decay", "nesterov", "eps", "ns_steps", "adjust_lr_fn")
    return {**{name: hyper[name] for name in names}, "momentum": hyper["beta"], "ns_coefficients": triple(hyper)}


def _torch() -> Port:
    return TorchPort(
        "torch", "muon", lambda params, hyper: import_module("torch").optim.Muon(params, **_of_torch(hyper)),
        _of_torch, "momentum_buffer",
        version=version_of("torch"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema", decay="first",
        dtypes=("float32", "float64", "bfloat16"), compute="storage",
    )  # fmt: skip


def _of_timm(hyper: Keywords) -> Keywords:
    if hyper["adjust_lr_fn"] is None:
        raise ValueError("without adjust_lr_fn this Muon has no scale at all, by its documentation")
    names = ("lr", "weight_decay", "nesterov", "eps", "ns_steps", "adjust_lr_fn")
    return {**{name: hyper[name] for name in names}, "momentum": hyper["beta"], "ns_coefficients": listed(hyper)}


def _timm() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        group = {"params": params, "use_muon": True, **_of_timm(hyper)}
        return lone_module("timm.optim.muon").Muon([group])

    return TorchPort(
        "timm", "muon", build, _of_timm, "momentum_buffer", {"use_muon": True},
        version=version_of("timm"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema", decay="first",
    )  # fmt: skip


def _of_jordan(hyper: Keywords) -> Keywords:
    return {"lr": hyper["lr"], "weight_decay": hyper["weight_decay"], "momentum": hyper["beta"]}


def _jordan() -> Port:
    return TorchPort(
        "muon-optimizer", "muon",
        lambda params, hyper: import_module("muon").SingleDeviceMuon(params, **_of_jordan(hyper)),
        _of_jordan, "momentum_buffer",
        version=version_of("muon-optimizer"), ns_dtype="bfloat16", eps_form="add", momentum_form="ema", decay="first",
        fixed=("nesterov", "ns_coefficients", "ns_steps", "eps", "adjust_lr_fn"),
    )  # fmt: skip


def _of_pytorch_optimizer(hyper: Keywords) -> Keywords:
    return {
        "lr": hyper["lr"], "momentum": hyper["beta"], "weight_decay": hyper["weight_decay"],
        "nesterov": hyper["nesterov"], "ns_steps": hyper["ns_steps"], "ns_coeffs": listed(hyper),
        "use_adjusted_lr": chosen(hyper, False, True),
    }  # fmt: skip


def _pytorch_optimizer() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        group = {"params": params, "use_muon": True, **_of_pytorch_optimizer(hyper)}
        return import_module("pytorch_optimizer").Muon([group])

    return TorchPort(
        "pytorch-optimizer", "muon", build, _of_pytorch_optimizer, "momentum_buffer",
        version=version_of("pytorch-optimizer"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema",
        decay="first", fixed=("eps",),
    )  # fmt: skip


def _of_heavyball(hyper: Keywords) -> Keywords:
    return {"lr": hyper["lr"], "betas": (hyper["beta"], 0.99), "weight_decay": hyper["weight_decay"]}


def _heavyball(name: str, momentum: str) -> Callable[[], Port]:
    def build(params: list[Any], hyper: Keywords) -> Any:
        utils: Any = import_module("heavyball.utils")
        utils.compile_mode = None
        import_module("torch").manual_seed(0)  # it rounds at random
        return import_module("heavyball").Muon(
            params, **_of_heavyball(hyper), nesterov=hyper["nesterov"], heavyball_momentum=momentum == "sum",
            compile_step=False,
        )  # fmt: skip

    return lambda: TorchPort(
        name, "muon", build, _of_heavyball, None, constant=("nesterov",),
        version=version_of("heavyball"), ns_dtype="bfloat16", eps_form="max", momentum_dtype="float32",
        momentum_form=momentum, fixed=(*_ITERATION, "adjust_lr_fn"), defaults={"ns_coefficients": _YOU},
    )  # fmt: skip


def _deepspeed(method: str) -> Callable[[], Port]:
    def build() -> Port:
        source = import_module("deepspeed.runtime.zero.muon.original_muon")
        return TorchPort(
            f"deepspeed/{method}", "muon",
            lambda params, hyper: source.SingleDeviceMuon(params, ns_method=method, **_of_jordan(hyper)),
            _of_jordan, "momentum_buffer",
            version=version_of("deepspeed"), ns_dtype=str(source.ns_compute_dtype(method)).removeprefix("torch."),
            eps_form="add", momentum_form="ema", decay="first", fixed=("nesterov", *_ITERATION, "adjust_lr_fn"),
        )  # fmt: skip

    return build


def _of_gram(hyper: Keywords) -> Keywords:
    names = ("lr", "weight_decay", "nesterov")
    return {**{name: hyper[name] for name in names}, "momentum": hyper["beta"]}


def _gram() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        return import_module("gram_newton_schulz").Muon(
            params, **_of_gram(hyper), ns_coefficients=repeated(hyper), ns_epsilon=hyper["eps"], ns_use_kernels=False,
            gram_newton_schulz_restart_iterations=[2],
        )  # fmt: skip

    return TorchPort(
        "gram-newton-schulz", "muon", build, _of_gram, "momentum", constant=_ITERATION,
        version=version_of("gram-newton-schulz"), ns_dtype="bfloat16", eps_form="add", momentum_form="sum",
        decay="first", fixed=("adjust_lr_fn",), other_rule=("axes",), defaults={"adjust_lr_fn": "match_rms_adamw"},
    )  # fmt: skip


def _of_atan2(hyper: Keywords) -> list[Keywords]:
    muon = {
        "lr": hyper["lr"], "beta1": hyper["beta"], "weight_decay": hyper["weight_decay"], "muon_eps": hyper["eps"],
        "muon_steps": hyper["ns_steps"], "muon_newton_schulz5_coefs": triple(hyper),
    }  # fmt: skip
    return [{}, muon]


def _atan2() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        optimizer = import_module("adam_atan2_pytorch").MuonAdamAtan2(params, [], lr=hyper["lr"])
        optimizer.param_groups[1].update(_of_atan2(hyper)[1])
        return optimizer

    return TorchPort(
        "adam-atan2-pytorch", "muon", build, _of_atan2, "exp_avg", {"steps": 0},
        version=version_of("adam-atan2-pytorch"), eps_form="max", momentum_form="ema", decay="first",
        fixed=("nesterov", "adjust_lr_fn"), other_rule=("vectors", "axes"),
        defaults={"nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
    )  # fmt: skip


def _torchzero() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        tz = import_module("torchzero")
        beta = hyper["beta"]
        momentum = tz.m.NAG(beta) if hyper["nesterov"] else tz.m.HeavyBall(beta, ema_init="zeros")
        decay = tz.m.WeightDecay(hyper["weight_decay"])
        return tz.Optimizer(params, momentum, tz.m.Orthogonalize(adjust_lr=True), decay, tz.m.LR(hyper["lr"]))

    return TorchPort(
        "torchzero", "muon", build, None, None,
        version=version_of("torchzero"), ns_dtype="bfloat16", eps_form="max", momentum_form="sum",
        fixed=(*_ITERATION, "adjust_lr_fn"), other_rule=("axes",),
        defaults={"ns_coefficients": _YOU, "eps": 2.0**-125, "adjust_lr_fn": "match_rms_adamw"},
    )  # fmt: skip


def _of_ultralytics(hyper: Keywords) -> Keywords:
    return {"lr": hyper["lr"], "momentum": hyper["beta"], "nesterov": hyper["nesterov"]}


def _ultralytics() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        group = {"params": params, "use_muon": True, **_of_ultralytics(hyper)}
        return lone_module("ultralytics.optim.muon").MuSGD([group], muon=1.0, sgd=0.0)

    def beside(param: Any) -> Mapping[str, Any]:
        return {"momentum_buffer_SGD": param.detach().clone().zero_()}

    return TorchPort(
        "ultralytics/sgd 0", "muon", build, _of_ultralytics, "momentum_buffer", beside,
        version=version_of("ultralytics"), ns_dtype="bfloat16", eps_form="add", momentum_form="ema",
        fixed=("weight_decay", *_ITERATION, "adjust_lr_fn"), defaults={"weight_decay": 0.0},
    )  # fmt: skip


def _of_adv_optm(hyper: Keywords) -> Keywords:
    return {
        "lr": hyper["lr"], "beta1": hyper["beta"], "weight_decay": hyper["weight_decay"],
        "nesterov": hyper["nesterov"], "ns_steps": hyper["ns_steps"], "ns_eps": hyper["eps"],
        "ns_coeffs": triple(hyper),
    }  # fmt: skip


def _adv_optm() -> Port:
    def build(params: list[Any], hyper: Keywords) -> Any:
        muon = import_module("adv_optm").Muon_adv
        return muon(params, use_muon=True, rms_rescaling=False, **_of_adv_optm(hyper))

    return TorchPort(
        "adv-optm", "muon", build, _of_adv_optm, "momentum_buffer", {"is_muon": True, "factored": False},
        version=version_of("adv-optm"), ns_dtype="bfloat16", eps_form="max", momentum_form="ema", decay="first",
        fixed=("adjust_lr_fn",),
    )  # fmt: skip


def _of_optimuon(hyper: Keywords) -> Keywords:
    if hyper["adjust_lr_fn"] is None:
        raise ValueError("adjust_lr is a name")
    names = ("lr", "weight_decay", "nesterov", "ns_steps")
    return {
        **{name: hyper[name] for name in names}, "momentum": hyper["beta"], "ns_coefficients": listed(hyper),
        "ns_eps": hyper["eps"], "adjust_lr": hyper["adjust_lr_fn"],
    }  # fmt: skip


def _optimuon() -> Port:
    alone: dict[str, Any] = {"normuon": False, "cautious_wd": False, "ns_norm_scale": 1.0, "ns_dtype": None}
    return TorchPort(
        "optimuon", "muon",
        lambda params, hyper: import_module("optimuon").Muon(params, **alone, **_of_optimuon(hyper)),
        _of_optimuon, "momentum_buffer", {"step": 0},
        version=version_of("optimuon"), eps_form="add", momentum_form="ema", decay="first",
    )  # fmt: skip


def _of_omnimuon(hyper: Keywords) -> Keywords:
    names = ("lr", "weight_decay", "nesterov", "ns_steps")
    return {**{name: hyper[name] for name in names}, "matrix_lr": hyper["lr"], "momentum": hyper["beta"]}


def _omnimuon() -> Port:
    return TorchPort(
        "omnimuon", "muon", lambda params, hyper: import_module("omnimuon").Muon(params, **_of_omnimuon(hyper)),
        _of_omnimuon, None,
        version=version_of("omnimuon"), ns_dtype="float32", momentum_dtype="float32", eps_form="add",
        momentum_form="ema", decay="first", fixed=("ns_coefficients", "eps", "adjust_lr_fn"),
        other_rule=("vectors", "axes"),
    )  # fmt: skip


def _row(
    distribution: str,
    module: str,
    build: Callable[[], Port],
    name: str = "",
    environment: Mapping[str, str] | None = None,
) -> Candidate:
    return Candidate(name or distribution, "muon", distribution, ("torch", module), build, environment or {})


TORCH_MUONS: tuple[Candidate, ...] = (
    _row("torch", "torch", _torch),
    _row("muon-optimizer", "muon", _jordan),
    _row("timm", "timm", _timm),
    _row("pytorch-optimizer", "pytorch_optimizer", _pytorch_optimizer),
    _row("heavyball", "heavyball", _heavyball("heavyball", "ema")),
    _row("heavyball", "heavyball", _heavyball("heavyball/sum", "sum"), "heavyball/sum"),
    _row("deepspeed", "deepspeed", _deepspeed("standard"), "deepspeed/standard", _UNCOMPILED),
    _row("deepspeed", "deepspeed", _deepspeed("gram"), "deepspeed/gram", _UNCOMPILED),
    _row("gram-newton-schulz", "gram_newton_schulz", _gram, environment=_UNCOMPILED),
    _row("adam-atan2-pytorch", "adam_atan2_pytorch", _atan2),
    _row("torchzero", "torchzero", _torchzero),
    _row("ultralytics", "ultralytics", _ultralytics, "ultralytics/sgd 0"),
    _row("adv-optm", "adv_optm", _adv_optm),
    _row("optimuon", "optimuon", _optimuon),
    _row("omnimuon", "omnimuon", _omnimuon),
)
