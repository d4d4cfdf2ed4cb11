"""Which adapters the engines of this host hold, on disk, so that they are loaded again after a restart of the service."""

import logging
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from sluice.contracts.base import Reply
from sluice_inference.adapters.model_files import head_of_gguf
from sluice_inference.domain.errors import AdapterRefused, EngineFailed
from sluice_inference.domain.lora import Adapter, AdapterConfig, AdapterHead

_log = logging.getLogger(__name__)


class _Kept(Reply):
    path: str
    loaded_at: float


class _Book(Reply):
    engines: dict[str, dict[str, _Kept]] = {}


class AdapterFile:
    """The file; a broken one counts as empty, since adapters can be loaded again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Adapter]]:
        """Return the adapters of each engine."""
        try:
            book = _Book.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as exc:
            _log.error("the adapters of %s cannot be read, so none is loaded again: %s", self._path, exc)
            return {}
        return {
            engine: {name: Adapter(kept.path, kept.loaded_at) for name, kept in held.items()}
            for engine, held in book.engines.items()
        }

    def write(self, engines: Mapping[str, Mapping[str, Adapter]]) -> None:
        """Keep the adapters of each engine, all or nothing."""
        book = _Book(
            engines={
                engine: {name: _Kept(path=one.path, loaded_at=one.loaded_at) for name, one in held.items()}
                for engine, held in engines.items()
            }
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(book.model_dump_json(), encoding="utf-8")
        fresh.replace(self._path)


def read_adapter(folder: Path) -> AdapterConfig:
    """Read what an adapter says of itself.

    Raises:
        AdapterRefused: there is none in PEFT's layout.
    """
    try:
        found = AdapterConfig.model_validate_json((folder / "adapter_config.json").read_bytes())
    except (OSError, ValidationError) as exc:
        raise AdapterRefused(
            f"{folder} holds no adapter in PEFT's layout: adapter_config.json cannot be read ({type(exc).__name__}). "
            "Give the folder that save_pretrained wrote, as the engine's host sees it."
        ) from exc
    if not any((folder / name).is_file() for name in ("adapter_model.safetensors", "adapter_model.bin")):
        raise AdapterRefused(
            f"{folder} holds no adapter_model.safetensors. Give the folder that save_pretrained wrote."
        )
    return found


def find_gguf_adapter(path: Path) -> Path:
    """Return the GGUF file of an adapter: the path itself, or the only such file of a folder.

    Raises:
        AdapterRefused: there is none, or more than one.
    """
    if path.is_file():
        return path.absolute()
    if not path.exists():
        raise AdapterRefused(f"{path} is not there. Give the adapter's file, as the engine's host sees it.")
    found = sorted(path.glob("*.gguf"))
    if len(found) != 1:
        peft = (path / "adapter_config.json").is_file()
        raise AdapterRefused(
            f"{path} holds {len(found)} GGUF files, and llama.cpp takes one. "
            + (
                "It is an adapter in PEFT's layout: convert it with llama.cpp's convert_lora_to_gguf.py."
                if peft and not found
                else "Give the adapter's file, as the engine's host sees it."
            )
        )
    return found[0].absolute()


def read_gguf_adapter(file: Path) -> AdapterHead:
    """Read what the head of a GGUF file says of itself, of an adapter or of a model.

    Raises:
        AdapterRefused: it is no GGUF file.
    """
    try:
        found = head_of_gguf(file, ("general.type", "general.architecture", "adapter.type"))
    except EngineFailed as exc:
        raise AdapterRefused(exc.detail) from exc
    return AdapterHead(
        kind=str(found.get("general.type", "")),
        adapter=str(found.get("adapter.type", "")),
        architecture=str(found.get("general.architecture", "")),
    )
