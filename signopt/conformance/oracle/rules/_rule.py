"""What the suite knows of a rule, whatever the rule does: its names, its declarations, and its judge if it steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from signopt.conformance.oracle.arithmetic import Array
from signopt.conformance.oracle.habits import Habits
from signopt.conformance.oracle.judge import Allowed
from signopt.conformance.oracle.step import Arrays, Judge, Step

__all__ = ["NO_DEFAULT", "Approach", "Discrimination", "Hyper", "Optimizer", "Rule"]

NO_DEFAULT: Any = type("NoDefault", (), {"__repr__": lambda self: "no default"})()
"""For a hyperparameter that the source leaves to the caller."""


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter as its rule names it.

    Attributes
    ----------
    name : str
    kind : str
        How it travels to a port in another process and stands in a vector: a key of `protocol.wire.KINDS`. A name
        has the same kind in every rule.
    default : object
        That of the source.
    usual : object
        What a check gives that has no wish of its own; by default ``default``. One without either is not given
        unless `Optimizer.complete` adds it.
    """

    name: str
    kind: str = "number"
    default: Any = NO_DEFAULT
    usual: Any = NO_DEFAULT

    @property
    def value(self) -> Any:
        """What a check gives, or NO_DEFAULT."""
        return self.default if self.usual is NO_DEFAULT else self.usual


class Rule(ABC):
    """One rule of the suite. This base is enough for what is no optimizer: its checks call the port themselves.

    Attributes
    ----------
    name : str
        As ports declare it.
    sources : tuple of str
        Where it is published.
    hyper : tuple of Hyper
        Its hyperparameters; of every rule that has rates and decays these are ``lr`` and ``weight_decay``.
    habits : type of Habits
        What its ports may declare beyond name, rule, version and dtypes.
    dtypes : tuple of str
        Those of a port that declares none.
    grounds : mapping of str to str
        What `Judged.by` may say an element was judged by, with a sentence for the report if the ground is no proof.
    """

    name: str
    sources: tuple[str, ...]
    hyper: tuple[Hyper, ...] = ()
    habits: type[Habits] = Habits
    dtypes: tuple[str, ...] = ("float32", "float64")
    grounds: Mapping[str, str] = MappingProxyType({})

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The hyperparameters that have a default in the source, with it."""
        return {each.name: each.default for each in self.hyper if each.default is not NO_DEFAULT}


@dataclass(frozen=True)
class Approach:
    """A way to bring a port whose momentum cannot be set to about a wanted state: ``steps`` times ``grads``."""

    params: dict[str, Array]
    grads: dict[str, Array]
    steps: int = 1


@dataclass(frozen=True)
class Discrimination:
    """How many elements of a step were judged, and how many could tell a wrong direction or a missing decay."""

    judged: int
    direction: int
    decay: int


class Optimizer(Rule):
    """A rule that steps parameters along gradients with one momentum a tensor.

    Attributes
    ----------
    tensors : tuple of str
        Names of the tensors into which a check spreads one array: one for each way in which the rule treats tensors.
    kinds : tuple of str
        Names of tensors of every kind there is, also of kinds that the rule treats alike.
    """

    tensors: tuple[str, ...] = ("w",)
    kinds: tuple[str, ...] = ("w/kernel", "e/embeddings")

    @abstractmethod
    def judge(self, habits: Any) -> Judge:
        """The judge of one life of a port with these habits, of the class that ``self.habits`` is.

        It is called with each `Step` in turn, and says what is wrong and what is known of the momentum afterwards.
        """

    @abstractmethod
    def outcomes(self, habits: Any, step: Step) -> dict[str, tuple[list[Allowed], list[Allowed]]]:
        """For each tensor the legal new parameters and momenta, in C order; ``step.new_params`` is not read."""

    def exact(
        self, habits: Any, hyper: Mapping[str, Any], at: int, name: str, param: Array, grad: Array, m: Array
    ) -> Iterator[tuple[Array, Array]]:
        """The bits of one tensor's parameter and momentum after step ``at`` in the declared order of evaluation.

        Several pairs if the declaration leaves several parameters legal; all of one momentum.
        """
        raise NotImplementedError(f"{self.name} has no declared order of evaluation")

    def discrimination(self, habits: Any, step: Step) -> Discrimination:
        """What the elements of a right step can tell: the measure by which a check is vacuous or not."""
        raise NotImplementedError(f"{self.name} does not say what its steps can tell")

    def of_betas(self, betas: tuple[float, float]) -> dict[str, Any]:
        """The betas, or the first of them, under the name that the rule has for them."""
        return {"betas": betas} if any(each.name == "betas" for each in self.hyper) else {"beta": betas[0]}

    def settings(self, lr: float, betas: tuple[float, float], weight_decay: float, **own: Any) -> dict[str, Any]:
        """Hyperparameters of a run; of ``own`` those that this rule has."""
        given = {**own, "lr": lr, **self.of_betas(betas), "weight_decay": weight_decay}
        asked = {each.name: given.get(each.name, each.value) for each in self.hyper}
        return {name: value for name, value in asked.items() if value is not NO_DEFAULT}

    def complete(self, habits: Any, hyper: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
        """``hyper`` with what depends on the names of the tensors, if the rule has such hyperparameters."""
        return dict(hyper)

    def spread(self, array: Array) -> dict[str, Array]:
        """One array as the tensors that this rule treats differently."""
        return {name: array.copy() for name in self.tensors}

    def approach(self, habits: Any, hyper: Mapping[str, Any], params: Arrays, momentum: Arrays) -> Approach:
        """How gradients bring zero momenta to about ``momentum`` and the parameters to about ``params``.

        Raises
        ------
        ValueError
            If there is no such way; the message completes "the momentum cannot be set, and ...".
        """
        raise ValueError("this rule knows no gradients that lead to a given one")

    def near_zero(self, hyper: Mapping[str, Any], step: int, momentum: Array, deltas: Array) -> Array:
        """Gradients in float64 that put the direction at −δ times its momentum's share: as near to zero as asked."""
        raise NotImplementedError(f"{self.name} takes no sign")


def finite(momentum: Arrays) -> bool:
    """Whether every element is finite."""
    return all(np.isfinite(m.astype(np.float64)).all() for m in momentum.values())
