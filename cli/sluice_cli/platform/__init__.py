"""The platform on one machine: its parts as processes, their records, secrets and health."""
