"""Makes texts for training and testing the guardrail: attacks by family, ordinary requests that look dangerous, documents."""
