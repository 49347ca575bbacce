"""A tensor's role decides its rate, its decay and its centre."""

from __future__ import annotations

from collections.abc import Mapping

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import ROLE_NAMES, SHAPES, TIGER
from signopt.conformance.checks.values import plant, random, random_like, signs, sized, uneven
from signopt.conformance.session import NotApplicableError, Session

NAMED = {
    "bert/embeddings/LayerNorm/gamma": (3,),
    "bert/embeddings/LayerNorm/beta": (3,),
    "bert/embeddings/word": (4, 3),
    "word_embeddings": (3, 4),
    "embedding/table": (4, 3),
    "beta_head/kernel": (2, 3),
    "gamma_gate/kernel": (2, 3),
    "debiased/kernel": (2, 3),
    "head/Bias": (2, 3),
    "bias/gamma": (3,),
    "gamma/bias": (3,),
    "beta/embeddings": (3,),
    "Dense/Bias": (2, 3),
    "Norm/GAMMA": (3,),
    "Token/Embeddings": (3, 2),
    "encoder/kernel": (3, 3),
    "scale": (4,),
    "beta/gamma": (3,),
    "encoder/LayerNorm/kernel": (2, 3),
    "encoder/LayerNorm/bias": (3,),
    "conv/gamma": (2, 3),
    "conv/bias": (2, 3),
}


GIVEN = {
    "x1": ("matrix", (3, 4)),
    "x2": ("embedding", (3, 4)),
    "x3": ("bias", (3, 4)),
    "x4": ("scale", (3, 4)),
    "dense/kernel": ("embedding", (4, 3)),
    "token/embeddings": ("matrix", (5, 3)),
    "dense/bias": ("matrix", (6,)),
    "norm/beta": ("scale", (4,)),
    "norm/gamma": ("bias", (4,)),
    "conv/kernel": ("scale", (2, 3, 2)),
    "word_embeddings": ("bias", (4, 3)),
    "conv/bias": ("embedding", (3, 4)),
    "conv/gamma": ("matrix", (3, 4)),
}


@check("roles/rate", rules=TIGER, profile="core", essential=True)
def roles_rate(s: Session) -> None:
    """The rate is lr·RMS of the tensor for a matrix, lr·RMS of the row for an embedding, lr/2 for a bias or scale."""
    params = uneven(s, SHAPES)
    run = s.start(params, s.hyper())
    run.step(random_like(s, params))
    run.step(random_like(s, params))


@check("roles/decay", rules=TIGER, profile="core", essential=True)
def roles_decay(s: Session) -> None:
    """Matrices and embeddings decay by their own rate times λ; biases and scales do not decay at all."""
    params = uneven(s, SHAPES)
    run = s.start(params, s.hyper(weight_decay=0.5))
    run.step({name: s.array(signs(s, p.size).reshape(p.shape) * 0.0) for name, p in params.items()})
    run.step(random_like(s, params))


@check("roles/given", rules=TIGER)
def roles_given(s: Session) -> None:
    """Roles that are given decide, whatever the names say and whatever role a name had in an earlier life."""
    if "given" not in s.habits.roles:
        raise NotApplicableError("the port declares that it reads roles from names alone")
    _role_run(s, {name: shape for name, (_, shape) in GIVEN.items()}, {name: role for name, (role, _) in GIVEN.items()})


@check("roles/names", rules=TIGER)
def roles_names(s: Session) -> None:
    """Without given roles the names decide by substring: bias, beta, gamma first, then embeddings, else a matrix."""
    if "names" not in s.habits.roles:
        raise NotApplicableError("the port declares that it takes given roles alone")
    _role_run(s, NAMED, None)


def _role_run(s: Session, shapes: Mapping[str, tuple[int, ...]], roles: Mapping[str, str] | None) -> None:
    params = uneven(s, shapes)
    run = s.start(params, s.hyper(weight_decay=0.5, roles=roles, shrink=0.75))
    run.step(random_like(s, params))
    run.step(plant(random_like(s, params)))
    run.step(random_like(s, params))


@check("roles/scalar", rules=TIGER)
def roles_scalar(s: Session) -> None:
    """A 0-d parameter has its role like any other; its RMS is its magnitude."""
    for name in ROLE_NAMES:
        with s.edge(f"a 0-d parameter called {name}"):
            params = {name: s.array(3.0), "v/kernel": s.array(sized(s, 3))}
            run = s.start(params, s.hyper(weight_decay=0.5))
            for _ in range(2):
                run.step(random(s, {name: (), "v/kernel": (3,)}))


@check("roles/empty", rules=TIGER)
def roles_empty(s: Session) -> None:
    """A tensor of any role without elements disturbs no other."""
    for name in ROLE_NAMES:
        for shape in ((0, 3), (3, 0)):
            with s.edge(f"{name} of shape {shape}"):
                shapes = {name: shape, "v/kernel": (3,), "v/embeddings": (2, 3)}
                run = s.start(random(s, shapes), s.hyper(weight_decay=0.5))
                run.step(random(s, shapes))
