"""The conformance suite: is this port of Lion, Signum or Tiger right?"""

from signopt.conformance.port import Port
from signopt.conformance.pytest_marks import parametrize
from signopt.conformance.report import CheckResult, Failure, Report
from signopt.conformance.suite import check

__all__ = ["CheckResult", "Failure", "Port", "Report", "check", "parametrize"]
