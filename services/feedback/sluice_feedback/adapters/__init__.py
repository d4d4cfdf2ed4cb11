"""The Redis streams, in and out."""
