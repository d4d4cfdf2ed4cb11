"""Text out of files: each file is parsed by a process of its own, with limits of time and memory."""
