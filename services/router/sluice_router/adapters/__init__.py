"""The file, the deployments, Redis and the inference service, behind what the router needs of them."""
