"""Which replica has which beginning of a prompt in its cache, as far as this process knows from what it sent there."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Collection
from typing import Any, NamedTuple

BLOCK_CHARS = 256
"""Prompts are compared in blocks of this length: about 64 tokens of English."""
READ_CHARS = 65_536
"""So much of a prompt is looked at: what is equal up to there will have found its replica."""
MAX_BLOCKS = 32_768
"""So many blocks are remembered for a model, about 8 MB of prompts; those not seen for longest are forgotten first."""

HINT_S = 3600.0
"""So long after it was last read a block says where it lies (the handbook's F291); no cache of an engine is sure to have it then."""
_MINUTE_S = 60
_MINUTE_BITS = 24
_MINUTES = (1 << _MINUTE_BITS) - 1


class Match(NamedTuple):
    """How many blocks of a prompt a replica has seen, from its beginning without a gap."""

    replica: str
    blocks: int


def prompt_text(fields: dict[str, Any], chars: int = READ_CHARS) -> str:
    """Return the beginning of what a model will read, in the order of chat templates: tools, then messages, or the prompt.

    It is for comparing only: strings and token numbers in the order in which they stand, without the names of fields.
    """
    # A stack instead of recursion: a body may be nested as deep as its parser allows.
    left: list[Any] = [fields.get("prompt"), fields.get("messages"), fields.get("tools")]
    found: list[str] = []
    while left and chars > 0:
        value = left.pop()
        kind = type(value)
        if kind is str:
            found.append(value[:chars])
            chars -= len(value) + 1
        elif kind is dict:
            left.extend(reversed(value.values()))
        elif kind is list:
            left.extend(reversed(value))
        elif kind is int:
            found.append(str(value))
            chars -= len(found[-1]) + 1
    return "\0".join(found)


def block_hashes(text: str) -> list[int]:
    """Return one number for each whole block, which stands for the text up to the end of that block.

    Equal beginnings so have equal numbers, and one lookup a block walks down the tree of all prompts. The numbers are
    Python's own hashes, keyed anew in each process, so that nobody can make prompts that collide.
    """
    found: list[int] = []
    before = 0
    for start in range(0, len(text) - BLOCK_CHARS + 1, BLOCK_CHARS):
        before = hash((before, text[start : start + BLOCK_CHARS]))
        found.append(before)
    return found


def beginning(text: str) -> str:
    """Return a name for what a prompt begins with, the same in all processes; empty for one of less than two blocks.

    It stands for a power of two of blocks, at most half of the prompt: deep enough that prompts which share a short system
    message are told apart, and the same for questions of different length about one text.
    """
    blocks = len(text) // BLOCK_CHARS // 2
    if not blocks:
        return ""
    depth = 1 << (blocks.bit_length() - 1)
    return hashlib.blake2b(text[: depth * BLOCK_CHARS].encode(errors="surrogatepass"), digest_size=16).hexdigest()


class PrefixIndex:
    """The blocks that replicas have seen: a tree of prompts, kept flat by the hashes of its paths.

    A replica that throws a prefix out of its cache does not tell, so that the index may be wrong; the price is one prompt
    that is computed again. A block that nobody has read for `hint_s` seconds counts no more. `now` is in seconds and never
    goes back.
    """

    def __init__(self, max_blocks: int = MAX_BLOCKS, hint_s: float = HINT_S) -> None:
        self._max_blocks = max_blocks
        self._hint_minutes = math.ceil(hint_s / _MINUTE_S)
        # hash → replicas, one bit each, above the minute in which it was last read; in the order of that
        self._holders: OrderedDict[int, int] = OrderedDict()
        self._bits: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def matches(self, hashes: list[int], now: float) -> list[Match]:
        """Return what each replica has of a prompt, those with nothing left out."""
        depths: dict[int, int] = {}
        self._expire(now)
        holders = self._holders
        alive = -1
        for depth, block in enumerate(hashes):
            mask = holders.get(block, 0) >> _MINUTE_BITS & alive
            if mask != alive and depth:
                depths[alive & ~mask] = depth
            alive = mask
            if not alive:
                break
        else:
            depths[alive if hashes else 0] = len(hashes)
        return [
            Match(replica, depth) for mask, depth in depths.items() for replica, bit in self._bits.items() if mask & bit
        ]

    def note(self, replica: str, hashes: list[int], now: float) -> None:
        """Remember that a replica reads this prompt now."""
        bit = self._bits.get(replica) or self._add(replica)
        self._expire(now)
        holders, minute = self._holders, _minute(now)
        added = 0
        # The beginning last: of a long prompt, its end is forgotten first.
        for block in reversed(hashes):
            mask = holders.get(block, 0) >> _MINUTE_BITS
            if not mask & bit:
                added += 1
            holders[block] = (mask | bit) << _MINUTE_BITS | minute
            holders.move_to_end(block)
        self._held[replica] += added
        while len(holders) > self._max_blocks:
            self._release(holders.popitem(last=False)[1])

    def _expire(self, now: float) -> None:
        holders, minute = self._holders, _minute(now)
        while holders:
            oldest = next(iter(holders.values()))
            if (minute - (oldest & _MINUTES) & _MINUTES) <= self._hint_minutes:
                return
            self._release(holders.popitem(last=False)[1])

    def held(self, replica: str) -> int:
        """Return how many blocks a replica has."""
        return self._held.get(replica, 0)

    def keep_only(self, replicas: Collection[str]) -> None:
        """Forget the replicas that are not among these: they are gone, or come back with an empty cache."""
        gone = [replica for replica in self._bits if replica not in replicas]
        if not gone:
            return
        mask = 0
        for replica in gone:
            mask |= self._bits.pop(replica)
            del self._held[replica]
        kept = ((block, holders & ~(mask << _MINUTE_BITS)) for block, holders in self._holders.items())
        self._holders = OrderedDict((block, holders) for block, holders in kept if holders >> _MINUTE_BITS)

    def _add(self, replica: str) -> int:
        taken = set(self._bits.values())
        bit = 1
        while bit in taken:
            bit <<= 1
        self._bits[replica] = bit
        self._held[replica] = 0
        return bit

    def _release(self, holders: int) -> None:
        for replica, bit in self._bits.items():
            if holders >> _MINUTE_BITS & bit:
                self._held[replica] -= 1


def _minute(now: float) -> int:
    return int(now / _MINUTE_S) & _MINUTES
