"""Kept responses: from the request path through a journal into the database, and back."""
