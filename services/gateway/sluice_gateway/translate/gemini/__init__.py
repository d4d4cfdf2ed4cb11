"""Google's Gemini API as a provider.

Wire format: https://ai.google.dev/api/generate-content and .../gemini-api/docs/thought-signatures
"""
