"""What the guardrail reads from outside: the policy file."""
