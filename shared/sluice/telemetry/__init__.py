"""Metrics, traces and logs, declared once and cheap to use."""
