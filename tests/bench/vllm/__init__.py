"""vLLM behind the platform: its environment, and what is measured with it."""
