"""The feedback service: what people say about answers."""
