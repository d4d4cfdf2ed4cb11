"""What retrieval decides, without I/O: chunking, term weights, fusion, context assembly, and the ports."""
