"""Anthropic's Messages API as a client style: `POST /v1/messages` on a model of any provider."""
