"""Rules of the bridge: what a request may hold, what an answer must, and which providers there are."""
