"""The router: which model and deployment answers a request, and why."""
