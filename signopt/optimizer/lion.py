"""The optimizer Lion."""

from __future__ import annotations

from typing import Any

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt.optimizer._hyperparameter import Hyperparameter
from signopt.optimizer._params import Params
from signopt.optimizer.base import Optimizer
from signopt.rules.coefficients import Coefficients
from signopt.rules.lion import LionCoefficients

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion on named parameters, in place. The rule and its arguments are those of :func:`signopt.lion`.

    Parameters
    ----------
    params : mapping, or iterable of arrays or of pairs
        {name: array}; (name, array) pairs, such as torch's ``model.named_parameters()``; or arrays, such as
        ``model.parameters()``, that get the names "0", "1", ... Writable arrays of one library and device; dtypes may
        differ. They are kept and updated in place.
    lr, betas, weight_decay
        Checked whenever they are set; they may change between steps. Setting an attribute that does not exist is an
        AttributeError.
    schedule : mapping or callable, optional
        What multiplies ``lr`` at each step: {step: factor}, a line through these points
        (:func:`signopt.schedules.piecewise_linear`); :class:`signopt.schedules.Cosine`; or any function of the 0-based
        step. May change between steps as well.
    backend : str, default "auto"
        Which implementation applies the rule; all give the same bits. "portable" is the rule itself.
    momentum_dtype : str or dtype, optional
        Storage dtype of the momentum; that of each parameter by default. Not wider than the compute dtype.
    rounding : {"nearest", "stochastic", "split"}
        How new values of 16-bit parameters are rounded: to nearest even; up or down at random, so that their mean is
        right (:func:`signopt.rounding.stochastic_bfloat16`); or not at all, the lower half of a float32 master being
        kept in :attr:`rests` (:func:`signopt.rounding.split`, bfloat16 only). Momenta are rounded to nearest.
    seed : int, default 0
        Of stochastic rounding. The random word of an element is a function of seed, step count, the parameter's place
        among the sorted names, and the element's place in it. Optimizers that train parts of one model need seeds of
        their own.

    Warns
    -----
    UserWarning
        Once, at construction, if rounding to nearest would undo the steps of half of the 16-bit elements or of all of a
        parameter's.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> weights = {"w": np.ones(3)}
    >>> opt = signopt.Lion(weights, lr=0.25)
    >>> opt.step({"w": np.array([1.0, -1.0, 0.0])})
    >>> weights["w"]
    array([0.75, 1.25, 1.  ])
    """

    rule = "lion"
    betas = Hyperparameter(hyperparameters.betas, "(β1, β2), each in [0, 1).")

    def __init__(
        self,
        params: Params,
        *,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        schedule: Schedule = None,
        backend: str = "auto",
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        hyper = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "schedule": schedule}
        super().__init__(params, hyper, backend=backend, momentum_dtype=momentum_dtype, rounding=rounding, seed=seed)

    def _coefficients(self) -> Coefficients:
        return LionCoefficients.of(lr=self._rate(), betas=self.betas, weight_decay=self.weight_decay)
