"""The retrieval service: vector stores, ingest, embeddings, hybrid search and context with citations."""
