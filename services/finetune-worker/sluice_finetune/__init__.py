"""Sluice finetune-worker: training files, data-set checks and fine-tuning jobs."""
