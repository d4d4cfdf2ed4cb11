"""The record of vector stores, documents and ingest jobs in SQL."""
