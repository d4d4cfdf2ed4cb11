"""Simulators: what batching, scaling and their limits do to a stream of requests."""
