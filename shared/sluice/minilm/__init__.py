"""The embedding model all-MiniLM-L6-v2 (int8): its files, and what runs it."""
