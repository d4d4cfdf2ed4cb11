"""What the bridge asks providers with."""
