"""Rules of evaluation: suites, scorers, statistics, reports."""
