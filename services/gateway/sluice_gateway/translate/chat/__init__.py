"""Chat completions as a client style: the hub itself."""
