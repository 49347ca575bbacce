"""The rules as the suite names them: hyperparameters with the source's defaults, and tensors that a rule tells apart.

Nothing here knows the library's own rules. This is the one list of rules of the suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["RULES", "Rule"]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    name : str
    defaults : mapping
        Every hyperparameter with its default in the source.
    sources : tuple of str
        Where the rule is published.
    betas : {1, 2}
        How many: two under the name ``betas``, or one under ``beta``.
    tensors : tuple of str
        Names of the tensors that it treats differently, one of each kind.
    fixed : mapping
        What a check gives to hyperparameters of this rule alone when it has no wish of its own.
    """

    name: str
    defaults: Mapping[str, Any]
    sources: tuple[str, ...]
    betas: int = 1
    tensors: tuple[str, ...] = ("w",)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def of_betas(self, betas: tuple[float, float]) -> dict[str, Any]:
        """The betas, or the first of them, under the name that the rule has for them."""
        return {"betas": betas} if self.betas == 2 else {"beta": betas[0]}

    def hyper(self, lr: float, betas: tuple[float, float], weight_decay: float, **own: Any) -> dict[str, Any]:
        """Hyperparameters of a run; ``own`` are those that only this rule has, and dropped where it has none."""
        extra = {**self.fixed, **own} if self.fixed else {}
        return {"lr": lr, **self.of_betas(betas), "weight_decay": weight_decay, **extra}


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "lion",
            {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0},
            ("https://arxiv.org/abs/2302.06675", "https://github.com/google/automl/tree/master/lion"),
            betas=2,
        ),
        Rule("signum", {"lr": 1e-4, "beta": 0.9, "weight_decay": 0.0}, ("https://arxiv.org/abs/1802.04434",)),
        Rule(
            "tiger",
            {"lr": 1e-3, "beta": 0.965, "weight_decay": 0.01, "accumulation_steps": 1, "shrink": 0.99},
            ("https://kexue.fm/archives/9512", "https://github.com/bojone/tiger"),
            tensors=("w/kernel", "w/bias"),
            fixed={"accumulation_steps": 1, "shrink": 0.99, "schedule": None},
        ),
    )
}
