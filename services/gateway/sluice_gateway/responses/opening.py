"""What keeps responses, as the settings say."""

from contextlib import AsyncExitStack

from sluice.clock import SystemClock
from sluice.db import Database
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.responses.conversation_store import ConversationStore
from sluice_gateway.responses.keeper import ResponseKeeper
from sluice_gateway.responses.store import ResponseStore
from sluice_gateway.settings import Settings
from sluice_gateway.usage.journal import Journal, JournalLimits

_DAY_S = 86_400
_WAITING_BYTES = 256 * 1024 * 1024


def open_responses(
    platform: PlatformSettings,
    settings: Settings,
    database: Database,
    registry: MetricRegistry,
    stack: AsyncExitStack,
) -> ResponseKeeper | None:
    """Open the journal and return what keeps responses, None where the settings keep none; the stack closes both."""
    if not settings.responses_keep_days:
        return None
    journal = Journal(
        platform.data_dir / "gateway" / "responses",
        JournalLimits(settings.journal_segment_bytes, _WAITING_BYTES),
        "responses",
    )
    journal.open()
    stack.callback(journal.close)
    keeper = ResponseKeeper(
        journal,
        ResponseStore(database),
        ConversationStore(database),
        SystemClock(),
        registry,
        keep_s=settings.responses_keep_days * _DAY_S,
        most_bytes=settings.responses_max_bytes,
        most_chain_bytes=settings.max_body_bytes,
    )
    stack.push_async_callback(keeper.close)
    return keeper
