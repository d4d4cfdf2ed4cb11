"""What can go wrong in the harness."""


class BenchError(Exception):
    """The benchmark cannot go on; the sentence says why and what to do."""
