"""Measures cost–quality routing: python -m tests.quality.router.difficulty FILE.jsonl.gz [--embeddings FILE.npy]

The file has lines `{"task", "prompt", "weak_correct", "strong_correct"}` (made from lm-sys/RouteLLM, Apache-2.0: MMLU and GSM8K answered by Mixtral 8x7B and
GPT-4-1106; no data is part of the repository). Five folds: each prompt is judged by a head that was trained on the other four, APGR is over all of them.
The realised share is that of `Pace`, which decides on the prompts of a fold one after the other, as a router does. For the shift a head trained on four fifths of
MMLU meets the last fifth of MMLU, and after that GSM8K, of which it has seen nothing. Embedding 7,662 prompts takes minutes; `--embeddings` keeps them.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

import numpy as np
from tests.quality.router.intents import embedded

from sluice_router.domain.classify.gain import GainExamples, GainHead, apgr, train_gain
from sluice_router.domain.classify.head import READ_CHARS, Floats
from sluice_router.domain.classify.pace import Pace
from sluice_router.domain.classify.training import Ints

BAR_APGR, BAR_SHARE = 0.66, 0.03
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
FOLDS = 5


def realised(head: GainHead, gains: Floats, share: float) -> list[bool]:
    """Return what is decided on gains that come one after the other."""
    pace = Pace(share, [float(one) for one in head.expected])
    return [pace.takes(float(one)) for one in gains]


def part(examples: GainExamples, rows: Ints) -> GainExamples:
    """Return some of the examples."""
    return GainExamples(examples.embeddings[rows], examples.weak[rows], examples.strong[rows])


def vectors(texts: tuple[str, ...], kept: Path | None) -> Floats:
    """Return the embeddings, from the file if it is there."""
    if kept is not None and kept.exists():
        found: Floats = np.load(kept)
        return found
    made = np.zeros((len(texts), 384), dtype=np.float32)
    by_length = np.argsort([len(text) for text in texts])
    for start in range(0, len(texts), 256):
        rows = by_length[start : start + 256]
        made[rows] = embedded([texts[row] for row in rows])
    if kept is not None:
        np.save(kept, made)
    return made


def main() -> None:
    """Measure, print; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--embeddings", type=Path)
    asked = parser.parse_args()
    with gzip.open(
        asked.file, "rt", encoding="utf-8"
    ) as lines:  # U+2028 stands inside of prompts, so splitlines would cut them
        rows = [json.loads(line) for line in lines]
    texts = tuple(row["prompt"][:READ_CHARS] for row in rows)
    weak, strong = (
        np.array([float(row[f"{name}_correct"]) for row in rows], np.float32) for name in ("weak", "strong")
    )
    whole = GainExamples(vectors(texts, asked.embeddings), weak, strong)
    fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    predicted = np.zeros(len(rows), np.float32)
    furthest = 0.0
    taken = {share: np.zeros(len(rows), dtype=bool) for share in SHARES}
    for number in range(FOLDS):
        mine = np.flatnonzero(fold == number)
        head = train_gain(part(whole, np.flatnonzero(fold != number))).head
        predicted[mine] = head.gains(whole.embeddings[mine])
        order = np.random.default_rng(number).permutation(len(mine))
        for share in SHARES:
            decided = realised(head, predicted[mine][order], share)
            taken[share][mine[order]] = decided
            furthest = max(furthest, abs(float(np.mean(decided)) - share))
    found = apgr(predicted, weak, strong)
    print(f"{len(rows)} prompts, quality {weak.mean():.3f} and {strong.mean():.3f}; APGR over five folds {found:.4f}")
    for share, mask in taken.items():
        quality = float(np.where(mask, strong, weak).mean())
        gap = (quality - weak.mean()) / (strong.mean() - weak.mean())
        print(
            f"asked {share:.0%}: realised {mask.mean():.1%}, quality {quality:.3f}, {gap:.1%} of the gap (chance {share:.0%})"
        )
    print(f"furthest from the asked share in any fold: {furthest * 100:.1f} points")
    is_math = np.array([row["task"].startswith("gsm8k") for row in rows])
    mmlu, gsm8k = np.flatnonzero(~is_math), np.flatnonzero(is_math)
    mmlu = np.random.default_rng(1).permutation(mmlu)
    gsm8k = np.random.default_rng(2).permutation(gsm8k)
    held = len(mmlu) // FOLDS
    head = train_gain(part(whole, mmlu[held:])).head
    stream = np.concatenate([mmlu[:held], gsm8k])
    gains = head.gains(whole.embeddings[stream])
    furthest_shifted = 0.0
    for share in SHARES:
        after = realised(head, gains, share)[held:]
        fixed = float((gains[held:] >= np.quantile(head.expected, 1 - share)).mean())
        off = abs(float(np.mean(after)) - share)
        furthest_shifted = max(furthest_shifted, off)
        print(f"MMLU → GSM8K, asked {share:.0%}: realised on GSM8K {np.mean(after):.1%}; a fixed threshold {fixed:.1%}")
    print(f"bars: APGR at least {BAR_APGR}, shares within {BAR_SHARE * 100:.0f} points")
    sys.exit(0 if found >= BAR_APGR and max(furthest, furthest_shifted) <= BAR_SHARE else 1)


if __name__ == "__main__":
    main()
