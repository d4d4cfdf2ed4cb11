"""What a quantisation of a model loses, measured on engines that run."""
