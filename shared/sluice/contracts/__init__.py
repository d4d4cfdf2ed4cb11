"""Wire shapes that cross a service boundary: frozen pydantic models, changed only by adding."""
