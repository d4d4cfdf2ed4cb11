"""What turns files into text: a process for each, and a vision model for images without a caption where one is configured."""

import shutil
from contextlib import AsyncExitStack

from sluice.clients.http import AiohttpTransport
from sluice_retrieval.adapters.extract.sandbox import ParseLimits, ProcessExtractor
from sluice_retrieval.domain.extraction import Extractor
from sluice_retrieval.metrics import Metrics
from sluice_retrieval.settings import RetrievalSettings


def open_extractor(settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack) -> Extractor:
    """Return what reads files."""
    limits = ParseLimits(
        settings.max_document_bytes,
        settings.parse_max_pages,
        settings.parse_cpu_s,
        settings.parse_memory_mb,
        settings.image_max_pixels,
        (shutil.which("tesseract") or "") if settings.image_text else "",
        settings.image_text_languages,
    )
    reader = ProcessExtractor(limits, settings.parse_at_once)
    if not settings.caption_url:
        return reader
    from sluice_retrieval.adapters.captioner import Captioned  # noqa: PLC0415 - only where a model describes

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    return Captioned(
        reader,
        transport,
        settings.caption_url,
        settings.caption_model,
        settings.caption_api_key.get_secret_value(),
        settings.caption_timeout_s,
        metrics.caption_failures.inc,
    )
