"""The bridge: the long tail of providers, each through its own SDK, behind OpenAI's API."""
