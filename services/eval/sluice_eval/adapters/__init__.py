"""What the eval service talks to: the gateway and the job queue."""
