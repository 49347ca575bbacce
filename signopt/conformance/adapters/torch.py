"""Ports made of :class:`torch.optim.Optimizer` subclasses.

An optimizer of this family differs from the next one in three things only: how it is built from the
hyperparameters, the key of the momentum in its per-parameter state, and what else it expects there.
:class:`TorchPort` takes these three.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from signopt.conformance.errors import TargetError
from signopt.conformance.port import Arrays

if TYPE_CHECKING:
    import torch

__all__ = ["TorchPort", "from_tensor", "to_tensor"]

Keywords = Mapping[str, Any]


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Wrap an array without copying, strides and bfloat16 included.

    A copy is made only of what torch cannot wrap: read-only memory and negative strides.
    """
    import torch

    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def from_tensor(tensor: torch.Tensor) -> np.ndarray:
    """View a tensor as an array; bfloat16 comes back in the dtype of ``ml_dtypes``."""
    import torch

    plain = tensor.detach()
    if plain.dtype != torch.bfloat16:
        return plain.numpy()
    import ml_dtypes

    return plain.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


class TorchPort:
    """A torch-style optimizer as a port.

    Parameters
    ----------
    name, rule
        What the port is called and which rule it implements.
    build
        ``build(parameters, hyper)`` returns the optimizer, with as many parameter groups as it likes.
    settings
        Maps the hyperparameters to the entries of ``param_groups`` that hold them, or to a list of such mappings, one
        for each group; used to change them between steps. None if the optimizer cannot be changed once it is built:
        then no check asks it to.
    momentum
        The key of the momentum in ``optimizer.state[parameter]``; None if it is kept in a form of its own.
    beside
        What else the optimizer expects in that state when it finds a momentum there: a mapping, copied for every
        parameter, or a function from the parameter to such a mapping.
    constant
        Hyperparameters that hold from the construction on: a ``configure`` that changes one is refused.
    device
        Where parameters, gradients and momentum are while the optimizer works, such as ``"cuda"``.
    named
        Whether ``build`` takes ``(name, parameter)`` pairs, as ``model.named_parameters()`` gives them, in place of
        parameters. A Tiger that reads roles from names needs them.
    declarations
        Everything else that ``describe`` returns: ``version``, ``dtypes``, ``decay``, ``form``, ``nan``, … A
        ``momentum_dtype`` is also the dtype in which a momentum is handed over.

    Notes
    -----
    Parameters keep the memory layout that they come with, and gradients are handed over without a copy, so that an
    optimizer which mishandles strides or writes to its gradients is seen doing so. A ``step`` that demands a closure is
    given one.

    An optimizer whose state holds more than the momentum and ``beside`` would miss the rest if a momentum were written
    into an empty state. Its momentum counts as one that cannot be set, and the error says what to pass as ``beside``.
    """

    configure: Callable[[Keywords], None]
    """Changes the hyperparameters where torch users change them, in the groups; absent without ``settings``."""

    def __init__(
        self,
        name: str,
        rule: str,
        build: Callable[[list[Any], Keywords], torch.optim.Optimizer],
        settings: Callable[[Keywords], Keywords | list[Keywords]] | None = None,
        momentum: str | None = "exp_avg",
        beside: Keywords | Callable[[torch.Tensor], Keywords] | None = None,
        *,
        named: bool = False,
        constant: Sequence[str] = (),
        device: str = "cpu",
        **declarations: Any,
    ) -> None:
        self._device = device
        self._description = {"name": name, "rule": rule, **declarations}
        self._build, self._settings, self._named, self._constant = build, settings, named, constant
        self._key, self._beside = momentum, beside or {}
        self._unknown: list[str] | None = None
        if settings is not None:
            self.configure = self._configure

    def describe(self) -> Mapping[str, Any]:
        """Return the name, the rule and the declarations."""
        return self._description

    def init(self, params: Arrays, hyper: Keywords, momentum: Arrays | None = None) -> None:
        """Build a fresh optimizer over copies of ``params``.

        Raises
        ------
        NotImplementedError
            For a momentum that the optimizer's state has no known place for.
        """
        import torch

        if momentum is not None:
            self._check_settable(hyper)
        self._params = {name: torch.nn.Parameter(self._placed(p.copy("K"))) for name, p in params.items()}
        self._optimizer, self._built_with = self._built(self._params, hyper), dict(hyper)
        self._stepped, self._remembers = False, bool(np.all([hyper.get("betas", hyper.get("beta", 1.0))]))
        for name, start in (momentum or {}).items():
            param = self._params[name]
            kept = start.astype(self._description.get("momentum_dtype") or start.dtype, order="K")
            self._optimizer.state[param].update({**self._kept_beside(param), str(self._key): self._placed(kept)})

    def _placed(self, array: np.ndarray) -> torch.Tensor:
        return to_tensor(array).to(self._device)

    def _built(self, params: Mapping[str, torch.nn.Parameter], hyper: Keywords) -> torch.optim.Optimizer:
        return self._build(list(params.items() if self._named else params.values()), hyper)

    def _kept_beside(self, param: torch.Tensor) -> Keywords:
        return self._beside(param) if callable(self._beside) else copy.deepcopy(self._beside)

    def _check_settable(self, hyper: Keywords) -> None:
        if self._key is None:
            raise NotImplementedError("the optimizer keeps its momentum in a form of its own")
        if self._unknown is None:
            self._unknown = self._probe(hyper)
        if self._unknown:
            raise NotImplementedError(
                f"the state of {self._description['name']} also holds {', '.join(map(repr, self._unknown))}, which a "
                "momentum alone would leave out; pass what they start as in beside={...}"
            )

    def _probe(self, hyper: Keywords) -> list[str]:
        """The keys that one step of an optimizer of its own leaves in the state and that nobody has accounted for."""
        import torch

        param = torch.nn.Parameter(torch.ones(2, 2, device=self._device))
        param.grad = torch.ones_like(param)
        # An optimizer that cannot take this step has shown nothing; its real steps are what is judged.
        try:
            optimizer = self._built({"probe": param}, hyper)
            _step(optimizer, [param])
        except Exception:
            return []
        return [str(key) for key in optimizer.state[param] if key != self._key and key not in self._kept_beside(param)]

    def _configure(self, hyper: Keywords) -> None:
        assert self._settings is not None
        for name in self._constant:
            if hyper[name] != self._built_with[name]:
                raise ValueError(f"{self._description['name']} takes {name} only when it is built")
        groups, settings = self._optimizer.param_groups, self._settings(hyper)
        for group, entries in zip(
            groups, settings if isinstance(settings, list) else [settings] * len(groups), strict=True
        ):
            group.update(entries)

    def step(self, grads: Arrays) -> None:
        """Set ``.grad`` of every parameter, None if there is no gradient, and call the optimizer."""
        self._stepped = True
        given = {name: self._placed(grad) for name, grad in grads.items()}
        for name, param in self._params.items():
            param.grad = given.get(name)
        _step(self._optimizer, list(self._params.values()))
        for name, grad in grads.items():
            if self._device != "cpu" and grad.flags.writeable:
                grad[...] = _shown(given[name])  # what the optimizer has done to it is the caller's to see

    def params(self) -> Arrays:
        """Return the live parameters."""
        return {name: _shown(param) for name, param in self._params.items()}

    def momentum(self) -> Arrays | None:
        """Return the live momentum: zeros before the first step, None if the optimizer has made none by then.

        Signum with β = 0 is such a case: some optimizers keep no buffer for it.

        Raises
        ------
        TargetError
            If the state has arrays like the parameters, and none under the key of the momentum.
        """
        if self._key is None:
            return None
        states = {name: self._optimizer.state[param] for name, param in self._params.items()}
        if not self._stepped and not any(states.values()):
            return {name: np.zeros_like(_shown(param)) for name, param in self._params.items()}
        if any(self._key not in state for state in states.values()):
            self._check_key(states)
            return None
        return {name: _shown(state[self._key]) for name, state in states.items()}

    def _check_key(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """A momentum under another key would be judged as one that is hidden, which sees less."""
        if not self._remembers or any(self._key in state for state in states.values()):
            return
        shapes = {name: param.shape for name, param in self._params.items() if param.ndim}
        kept = {key for name in shapes for key, v in states[name].items() if getattr(v, "shape", None) == shapes[name]}
        if kept:
            raise TargetError(
                f"the state has no {self._key!r}, it has {', '.join(sorted(map(repr, kept)))}: give the key of the "
                "momentum as momentum=, or None if it is kept in a form of its own"
            )


def _shown(tensor: torch.Tensor) -> np.ndarray:
    """A tensor of any device as an array: a view of one on the CPU, a copy of another."""
    return from_tensor(tensor.detach().cpu())


def _step(optimizer: torch.optim.Optimizer, params: list[torch.nn.Parameter]) -> None:
    """One step; an optimizer that demands a closure gets one that leaves the gradients as they are."""
    import torch

    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is None or closure.default is not inspect.Parameter.empty:
        optimizer.step()
        return
    grads = [param.grad for param in params]

    def evaluate() -> float:
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        return float(torch.zeros(()))

    optimizer.step(evaluate)
