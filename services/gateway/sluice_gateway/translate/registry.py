"""Which translator belongs to which name, and what an endpoint can ask of which provider."""

from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.bedrock.provider import Bedrock
from sluice_gateway.translate.chat.client import Chat
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.gemini.provider import Gemini
from sluice_gateway.translate.messages.client import Messages
from sluice_gateway.translate.openai.provider import Azure, OpenAI
from sluice_gateway.translate.responses.client import Responses
from sluice_gateway.translate.shapes import Client, ClientStyle, Counting, Provider, Style

_COMPLETE = frozenset({"openai", "azure"})


def provider(style: Style, *, api_version: str | None = None) -> Provider:
    """Return the translator of a provider; `api_version` is Azure's."""
    match style:
        case "openai":
            return OpenAI()
        case "azure":
            return Azure(api_version)
        case "anthropic":
            return Anthropic()
        case "gemini":
            return Gemini()
        case "bedrock":
            return Bedrock()


def client(style: ClientStyle) -> Client:
    """Return the translator of a client style."""
    match style:
        case "chat":
            return Chat()
        case "messages":
            return Messages()
        case "responses":
            return Responses()


def counting(found: Provider) -> Counting:
    """Return a provider that counts tokens.

    Raises:
        Untranslatable: the provider has no endpoint for that.
    """
    if isinstance(found, Counting):
        return found
    raise Untranslatable("model", "cannot count tokens before it answers: its provider has no endpoint for that.")


def must_complete(style: Style) -> None:
    """Refuse a text completion on a provider that only chats.

    Raises:
        Untranslatable: it does; a prompt that is to be continued has no counterpart in a conversation.
    """
    if style not in _COMPLETE:
        raise Untranslatable("model", "only chats. Send `messages` to /v1/chat/completions instead of a `prompt`.")
