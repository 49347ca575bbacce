"""Tests of signopt.rounding."""
