"""Parsing in a process of its own: a hostile file can cost its time and memory, and nothing else."""

import asyncio
import base64
import json
import signal
import sys
from dataclasses import dataclass
from typing import NamedTuple

from sluice_retrieval.adapters.extract.__main__ import OUT_OF_MEMORY, TOO_LARGE, UNREADABLE
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentUnreadable
from sluice_retrieval.domain.extraction import FileFormat
from sluice_retrieval.domain.images import Picture

_MIB = 1024 * 1024
_WALL_FACTOR = 3  # a busy machine may give a parser a third of a core


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What one file may cost: bytes of text, pages, seconds of processor time, MiB of address space, pixels.

    `tesseract` is the path of the program that reads text in images, in `languages`; empty: none does.
    """

    max_bytes: int
    max_pages: int
    cpu_s: int
    memory_mb: int
    max_pixels: int = 40_000_000
    tesseract: str = ""
    languages: str = "eng"


class Sound(NamedTuple):
    """A part of a recording as WAV (mono, 16 kHz; empty if it is silent), and whether nothing follows."""

    sound: bytes
    start_s: float
    end_s: float
    ended: bool


class Pictures(NamedTuple):
    """Pictures of a video as WebP with their seconds; the next ones are asked for from `until_s` on, unless it has `ended`."""

    pictures: tuple[tuple[float, bytes], ...]
    until_s: float
    ended: bool


class ProcessExtractor:
    """Parses each file in a fresh process without the service's environment; `at_once` of them run beside each other."""

    def __init__(self, limits: ParseLimits, at_once: int) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(at_once)

    async def extract(self, raw: bytes, file_format: FileFormat) -> str:
        """Return the text of a file as Markdown."""
        return await self._result(raw, file_format.value)

    async def picture(self, raw: bytes, *, captioned: bool) -> Picture:
        """Return what can be read of an image; nobody describes it here."""
        del captioned
        reading = (self._limits.tesseract, self._limits.languages)
        found = json.loads(await self._result(raw, FileFormat.IMAGE.value, *reading))
        return Picture(**{**found, **{name: base64.b64decode(found[name]) for name in ("thumbnail", "view")}})

    async def sound(self, raw: bytes, start_s: float, longest_s: float) -> Sound:
        """Return the next part of a recording's sound; raises as `extract` does."""
        found = json.loads(await self._result(raw, "sound", start_s, longest_s))
        return Sound(**{**found, "sound": base64.b64decode(found["sound"])})

    async def pictures(self, raw: bytes, start_s: float, most: int) -> Pictures:
        """Return the next pictures of a video, of which a whole one gives `most`; raises as `extract` does."""
        found = json.loads(await self._result(raw, "pictures", start_s, most))
        pictures = tuple((second, base64.b64decode(shown)) for second, shown in found.pop("pictures"))
        return Pictures(pictures, **found)

    async def _result(self, raw: bytes, reading: str, *more: object) -> str:
        async with self._slots:
            return self._checked(*await self._run(raw, reading, *more))

    def _checked(self, status: int, output: str) -> str:
        if status == 0:
            return output
        if status == TOO_LARGE:
            raise DocumentTooLarge(output)
        raise DocumentUnreadable(output if status == UNREADABLE else self._reason(status))

    async def _run(self, raw: bytes, reading: str, *more: object) -> tuple[int, str]:
        limits = self._limits
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-B", "-m", "sluice_retrieval.adapters.extract", reading),
            *map(str, (limits.max_bytes, limits.max_pages, limits.cpu_s, limits.memory_mb * _MIB, limits.max_pixels)),
            *map(str, more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
        try:
            async with asyncio.timeout(_WALL_FACTOR * limits.cpu_s):
                output, _ = await process.communicate(raw)
        except TimeoutError:
            return -signal.SIGXCPU, ""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, output.decode(errors="replace")

    def _reason(self, status: int) -> str:
        if status in {-signal.SIGXCPU, -signal.SIGKILL}:
            return f"The file takes more than {self._limits.cpu_s} s to parse. Split it."
        if status == OUT_OF_MEMORY:
            return f"The file needs more than {self._limits.memory_mb} MiB to parse. Split it."
        return "The file is broken: its parser ended without a result."
