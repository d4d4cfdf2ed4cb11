"""Chat completions as a provider: OpenAI, Azure OpenAI, and every engine that speaks the same API.

Requests that came in this style pass as the bytes that came; what stands here serves clients of another style.
"""
