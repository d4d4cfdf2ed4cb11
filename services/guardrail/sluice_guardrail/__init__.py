"""Sluice guardrail: what may go in and come out."""
