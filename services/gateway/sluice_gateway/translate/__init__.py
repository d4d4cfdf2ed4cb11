"""Translation between the API styles of clients and providers: pure functions and incremental stream translators.

The hub is the shape of OpenAI's chat completions. A provider (`anthropic`, `gemini`, `bedrock`, `azure`, `openai`) turns a hub
request into its own and its answers back into the hub; a client style (`messages`, `responses`) turns its requests into the
hub and the hub's answers into its own. Nothing here opens, waits, reads a clock or rolls dice: ids and times are arguments.
"""
