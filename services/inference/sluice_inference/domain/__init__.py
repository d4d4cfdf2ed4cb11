"""Rules of the inference service: what an engine is, and when it counts as failed."""
