"""Configuration, health and choice, without input or output."""
