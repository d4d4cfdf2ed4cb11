"""Batches: files of requests that a worker asks the gateway itself, when there is room."""
