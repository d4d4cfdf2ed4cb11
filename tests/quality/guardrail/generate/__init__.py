"""Makes texts for training and testing the guardrail: wishes to an assistant, and the sentences of documents."""
