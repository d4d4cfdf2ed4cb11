"""Sizing by formulas: memory, speed, energy and training, from a model's shape and an accelerator's peaks."""
