"""What a policy may look for besides personal data and injection: one module each, switched on by its rules."""
