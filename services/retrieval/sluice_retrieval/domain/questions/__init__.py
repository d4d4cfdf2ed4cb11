"""Making a question ready for search."""
