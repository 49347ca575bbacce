"""Weight decay: decoupled, lr·λ·p, of p before the step."""

from __future__ import annotations

import math

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import exact_class, graded, random, random_like, signs, sized
from signopt.conformance.oracle.rules import ELEMENTWISE
from signopt.conformance.session import NotApplicableError, Session

NAMES = (
    "norm/gamma", "norm/beta", "norm.weight", "LayerNorm_0/scale", "ln_1", "bn/moving_mean", "token_embeddings", "wte",
    "embed.weight", "pos_embed", "bias", "b", "cls_token", "head/kernel", "lora_A", "0",
)  # fmt: skip


@check("decay/size", profile="core", essential=True)
def size(s: Session) -> None:
    """Weight decay is lr·λ·p, decoupled from the gradient and multiplied by the rate."""
    for lr, weight_decay in ((0.1, 0.5), (0.0625, 2.0), (0.25, 0.125), (0.5, 0.1)):
        s.start(sized(s, 32, 0, 3), s.hyper(lr=lr, weight_decay=weight_decay)).step(s.array(sized(s, 32, -12, -6)))


@check("decay/decoupled", profile="core", essential=True)
def decoupled(s: Session) -> None:
    """Decay enters neither the sign nor the momentum: with λ·|p| far above |g|, the gradient gives both."""
    p = sized(s, 32, 1, 3)
    run = s.start(p, s.hyper(weight_decay=1.0))
    run.step(s.array(sized(s, 32, -9, -5)))
    run.step(run.near_zero(graded(s, 32)))


@check("decay/none", profile="core")
def none(s: Session) -> None:
    """Without decay the parameter moves by exactly the rate, and an exact zero direction leaves every bit."""
    p, g, m = exact_class(s, 30)
    run = s.start(p * 1.25, s.hyper(lr=0.0625, betas=(0.5, 0.75)), m)
    run.step(s.array(g))
    run.step(s.array(g))


@check("decay/tiny")
def tiny(s: Session) -> None:
    """A decay of lr·λ = 1e-6 is not lost."""
    if s.storage.precision < 24:
        raise NotApplicableError(f"a decay of 1e-6 is below the rounding of {s.storage.name}")
    run = s.start(sized(s, 32, 0, 2), s.hyper(lr=1e-3, weight_decay=1e-3))
    run.step(s.array(sized(s, 32)))


@check("decay/smallest")
def smallest(s: Session) -> None:
    """A decay of 256 units of rounding is not lost when nothing else moves the parameter."""
    for lr in (1.0, 16.0):
        with s.edge(f"lr = {lr}"):
            decay = 2.0 ** (8 - s.storage.precision) / lr
            s.start(sized(s, 32), s.hyper(lr=lr, weight_decay=decay)).step(s.array(signs(s, 32) * 0.0))


@check("decay/above-one")
def above_one(s: Session) -> None:
    """λ above 1, and lr·λ above 1, follow the same formula: nothing is clipped."""
    for lr, weight_decay in ((0.05, 10.0), (0.5, 4.0), (1.0, 1.0), (2.0**-10, 1500.0)):
        s.start(sized(s, 32, -1, 2), s.hyper(lr=lr, weight_decay=weight_decay)).step(s.array(sized(s, 32)))


@check("decay/alone", profile="core")
def alone(s: Session) -> None:
    """With no gradient at all, the parameter shrinks by lr·λ·p at each step, large and small parameters alike."""
    low, high = (-8, 6) if s.storage.name == "float16" or not s.sign_rule.elementwise else (-60, 60)
    run = s.start(sized(s, 32, low, high), s.hyper(lr=0.25, weight_decay=0.5))
    for _ in range(3):
        run.step(s.array(signs(s, 32) * 0.0))


@check("decay/old-parameter")
def old_parameter(s: Session) -> None:
    """It is p before the step that decays, not p after it."""
    run = s.start(sized(s, 32, -4, 0), s.hyper(lr=0.5, weight_decay=0.75))
    run.step(s.array(sized(s, 32)))
    run.step(s.array(sized(s, 32)))


@check("decay/every-shape")
def every_shape(s: Session) -> None:
    """Vectors, matrices and higher ranks decay alike, and each by its own values."""
    shapes = {"a/kernel": (6,), "b/kernel": (3, 4), "c/kernel": (2, 3, 2), "d/kernel": (1, 5), "e/kernel": (4, 1)}
    params = {name: s.array(sized(s, math.prod(shape), 0, 3).reshape(shape)) for name, shape in shapes.items()}
    run = s.start(params, s.hyper(weight_decay=0.5))
    for _ in range(2):
        run.step(random_like(s, params))


@check("decay/every-name", rules=ELEMENTWISE)
def every_name(s: Session) -> None:
    """What a tensor is called changes nothing: norms, embeddings and biases decay like the rest."""
    run = s.start({name: s.array(sized(s, 8, 0, 3).reshape(2, 4)) for name in NAMES}, s.hyper(weight_decay=0.5))
    for _ in range(2):
        run.step(random(s, dict.fromkeys(NAMES, (2, 4))))
