"""Queries: the library that the API reads and changes, and the book that workers write."""
