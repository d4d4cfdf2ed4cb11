"""What is made of feedback, without input or output."""
