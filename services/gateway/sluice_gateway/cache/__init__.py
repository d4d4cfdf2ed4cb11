"""Answers that are kept, and given again to requests that ask for the same."""
