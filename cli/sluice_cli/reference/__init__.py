"""What engines do, small and exact in NumPy: to study, and to test optimised kernels against."""
