"""Typed clients of the services, with one policy for deadlines, retries and breakers."""
