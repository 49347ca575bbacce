"""The conformance suite: is this port of Lion, Signum or Tiger right?

>>> from signopt.conformance import check
>>> from signopt.conformance.adapters.optimizer import OptimizerPort  # doctest: +SKIP
>>> check(OptimizerPort("lion"), profile="core").verdict  # doctest: +SKIP
'pass'
"""

from signopt.conformance.parametrize import parametrize
from signopt.conformance.port import Port
from signopt.conformance.report import CheckResult, Failure, Report
from signopt.conformance.suite import check

__all__ = ["CheckResult", "Failure", "Port", "Report", "check", "parametrize"]
