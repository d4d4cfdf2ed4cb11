"""Attacks on a model and ordinary requests that look like them, made by family, and sent to a route to see what passes."""
