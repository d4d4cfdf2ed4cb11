"""What a data set holds, what a job is, and how a job goes on; no input or output."""
