"""Sluice eval: suites, runs, scorers, reports."""
