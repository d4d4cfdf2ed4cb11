"""OpenAI's Responses API as a client style: `POST /v1/responses`, without the parts of it that need a memory."""
