"""What the gateway decides: keys, usage and the ports to everything outside."""
