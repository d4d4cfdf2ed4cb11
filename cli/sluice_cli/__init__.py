"""The `sluice` command: starts the platform on one machine and talks to its gateway."""
