"""Queries on the feedback database."""
