"""The gateway's control plane over HTTP; the request path is in `dataplane/`."""
