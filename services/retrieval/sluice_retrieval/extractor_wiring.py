"""What turns files into text: a process for each, a vision model for images, and a speech model for recordings where they are configured."""

import shutil
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import NamedTuple

from sluice.clients.http import AiohttpTransport
from sluice_retrieval.adapters.extract.sandbox import ParseLimits, ProcessExtractor
from sluice_retrieval.domain.extraction import Extractor
from sluice_retrieval.domain.recordings import Recordings
from sluice_retrieval.metrics import Metrics
from sluice_retrieval.settings import RetrievalSettings


class Readers(NamedTuple):
    """What reads files; recordings only where a model writes down what is said."""

    extractor: Extractor
    recordings: Recordings | None


def open_readers(settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack) -> Readers:
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
    if not settings.caption_url and not settings.transcription_url:
        return Readers(reader, None)
    from sluice_retrieval.adapters.captioner import Captioned  # noqa: PLC0415 - only where a model describes

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    captioned = None
    if settings.caption_url:
        captioned = Captioned(
            reader,
            transport,
            settings.caption_url,
            settings.caption_model,
            settings.caption_api_key.get_secret_value(),
            settings.caption_timeout_s,
            metrics.caption_failures.inc,
        )
    if not settings.transcription_url:
        return Readers(captioned or reader, None)
    from sluice_retrieval.adapters.transcriber import SpeechModel, Transcriber  # noqa: PLC0415 - only where a model hears

    speech = SpeechModel(
        transport,
        settings.transcription_url,
        settings.transcription_model,
        settings.transcription_api_key.get_secret_value(),
        settings.transcription_timeout_s,
        metrics.transcription_failures.inc,
    )
    recordings = Transcriber(
        reader,
        speech,
        captioned.describe if captioned else None,
        decodes=find_spec("av") is not None,
        most_bytes=settings.transcription_max_bytes,
        most_pictures=settings.video_pictures,
        max_text_bytes=settings.max_document_bytes,
    )
    return Readers(captioned or reader, recordings)
