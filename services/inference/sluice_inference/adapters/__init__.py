"""What the keeper of an engine talks to: operating-system processes and the engine's HTTP side."""
