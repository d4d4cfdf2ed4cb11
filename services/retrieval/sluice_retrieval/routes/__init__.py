"""The REST API of retrieval."""
