"""Kept answers: what one is, and what must be the same for it to be given again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

Level = Literal["l1", "l2", "l3"]
EVERYTHING = "all"
_OVERHEAD = 600  # bytes of Python objects around an entry, roughly


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as a client got it: one piece when it was whole, the pieces of its stream when it was `streamed`.

    `usage` is the event with the token counts of a stream, which stands beside it since not every client asks for it.
    `stored_at` is when the request came that it answered (unix seconds), so that an answer which was under way while others
    were invalidated counts as older than that. `verdicts` is what was said of the answer (JSON), b"" for nothing.
    """

    tenant: str
    model: str
    key_id: str
    pieces: tuple[bytes, ...]
    stored_at: float
    ttl_s: int
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    streamed: bool = False
    usage: bytes = b""
    verdicts: bytes = b""

    @property
    def size(self) -> int:
        """Bytes that it takes up, with what is around it."""
        return sum(map(len, self.pieces)) + 50 * len(self.pieces) + len(self.usage) + len(self.verdicts) + _OVERHEAD

    @property
    def ends(self) -> float:
        """When it expires."""
        return self.stored_at + self.ttl_s

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it can be invalidated by."""
        return (EVERYTHING, f"tenant:{self.tenant}", f"model:{self.model}", f"key:{self.key_id}")


class Found(NamedTuple):
    """An entry and the level where it was."""

    entry: Entry
    level: Level


def key_of(*what: object) -> bytes:
    """Return the name of an answer: equal for requests that differ only in the order of names in JSON objects."""
    return hashlib.blake2b(orjson.dumps(what, option=orjson.OPT_SORT_KEYS), digest_size=20).digest()


def is_invalidated(entry: Entry, invalidated: Mapping[str, float]) -> bool:
    """Tell whether the entry is older than an invalidation that names it; `invalidated` has the time of each scope's last."""
    return any(entry.stored_at <= invalidated.get(scope, -1.0) for scope in entry.scopes)


def packed(entry: Entry) -> bytes:
    """Return an entry as bytes: a line of JSON, then the event with its token counts, what was said of it, and its pieces."""
    head = [3, entry.tenant, entry.model, entry.key_id, entry.stored_at, entry.ttl_s,
            entry.prompt_tokens, entry.completion_tokens, entry.cost_usd, entry.streamed,
            len(entry.usage), [len(piece) for piece in entry.pieces], len(entry.verdicts)]  # fmt: skip
    return orjson.dumps(head) + b"\n" + entry.usage + entry.verdicts + b"".join(entry.pieces)


def unpacked(data: bytes) -> Entry | None:
    """Return the entry of these bytes, None when they are not one that this version can read."""
    head, _, rest = data.partition(b"\n")
    try:
        (
            version,
            tenant,
            model,
            key_id,
            stored_at,
            ttl_s,
            prompt,
            completion,
            cost_usd,
            streamed,
            counts,
            lengths,
            *more,
        ) = orjson.loads(head)
        said = sum(more)  # version 2 had no verdicts
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return None
    if version not in (2, 3) or counts + said + sum(lengths) != len(rest):
        return None
    pieces, at = [], counts + said
    for length in lengths:
        pieces.append(rest[at : at + length])
        at += length
    return Entry(
        tenant,
        model,
        key_id,
        tuple(pieces),
        stored_at,
        ttl_s,
        prompt,
        completion,
        cost_usd,
        streamed,
        rest[:counts],
        rest[counts : counts + said],
    )
