"""Blobs on disk, forms, the job queue and training back ends."""
