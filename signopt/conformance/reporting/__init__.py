"""A report for people and for machines: terminal, JSON, JUnit, and one HTML file. Each is given the same reports."""

from __future__ import annotations
