"""What the gateway uses from outside, one file per thing."""
