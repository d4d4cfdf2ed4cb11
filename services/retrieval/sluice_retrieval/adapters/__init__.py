"""One module per outside thing: the embedding model and the three homes of vectors."""
