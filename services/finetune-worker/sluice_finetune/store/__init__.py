"""Queries for files and jobs."""
