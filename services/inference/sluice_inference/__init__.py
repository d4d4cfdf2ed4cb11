"""Sluice inference: engines on this host, kept alive."""
