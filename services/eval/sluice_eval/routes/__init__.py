"""The REST API of the eval service."""
