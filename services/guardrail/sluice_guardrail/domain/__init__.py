"""Detectors, policies and verdicts; pure functions over text."""
