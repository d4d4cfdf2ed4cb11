"""Anthropic's Messages API as a provider.

Wire format: https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming
"""
