"""Classifiers of requests: what they read of a text, how they are trained, what they say."""
