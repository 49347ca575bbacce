"""Optimizers: named parameters updated in place, with one momentum slot each. One file for each rule."""

from signopt.optimizer.base import Optimizer
from signopt.optimizer.groups import Groups
from signopt.optimizer.lion import Lion
from signopt.optimizer.muon import Muon
from signopt.optimizer.signum import Signum
from signopt.optimizer.tiger import Tiger

__all__ = ["Groups", "Lion", "Muon", "Optimizer", "Signum", "Tiger"]
