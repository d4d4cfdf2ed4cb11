"""The router's REST API."""
