"""Sets where the second reading of prompts begins and where it decides, for what `adapt.py` trained; writes what `adapt.py` trains on.

    python -m tests.quality.guardrail.second --data DATA --intents FILE.jsonl.gz --letters FILE.jsonl.gz --texts FILE.jsonl
    python -m tests.quality.guardrail.second --data DATA … --adapted FILE.npz [--counts 1.0] [--write]

Nothing that counts is read here: the point is set on harmless texts that neither train nor are reported, and looked at on attacks of kinds and rounds of composed texts that train nothing, and on the half of spikee's texts that was read.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.quality.guardrail.gathering import (
    IN_ATTACKERS_WORDS,
    LOOK_ALIKE_RATE,
    LOOK_ALIKES,
    RATES,
    TRAINED,
    gather,
    is_by_hand,
)
from tests.quality.guardrail.sources import was_read
from tests.quality.guardrail.train import LOGIT, OUT, Texts
from tests.quality.guardrail.training import Row, edge

from sluice_guardrail.adapters.encoder import LowRank, open_encoder
from sluice_guardrail.adapters.head_file import load_head, low_rank_changes
from sluice_guardrail.domain.ngrams import LONG, LinearHead
from sluice_guardrail.domain.second import Floats, Network, window_of

IN_BAND = 0.05  # of the ordinary prompts that are read twice
LONGER = 2.0  # by how much more a long text must be suspicious to be read twice
MOST = 3000  # texts of a set and label that the encoder is trained on
WEIGHTS = {
    "composed": 3.0, "composed third": 3.0, "composed fourth": 4.0, "written": 3.0, "own dev": 2.0, "pyrit": 2.0, "exam": 1.5, "families": 1.5, "games": 1.5, "harmless": 1.0, "short": 3.0, "garak": 2.0, "others": 1.5, "own-source": 0.7, "machine train": 0.7, "s-labs": 0.5, "gsm8k train": 0.5, "made": 0.35,
    "clinc train": 0.35,
}  # fmt: skip
"""How often a text is drawn, beside one of another set: what people composed one by one most, what was made out of frames least."""


def network_of(arrays: Mapping[str, NDArray[np.float32]]) -> Network:
    """Return the network as its file keeps it, so that what is calibrated is what is read; nothing is calibrated yet."""
    filters, filters_out, inner, inner_out = (
        _rounded(arrays[name]) for name in ("filters", "filters_out", "inner", "inner_out")
    )
    biases = arrays["filters_bias"], arrays["inner_bias"]
    return Network(
        filters,
        biases[0],
        filters_out,
        inner,
        biases[1],
        inner_out,
        float(arrays["bias"][0]),
        0.0,
        1.0,
        0.0,
        -40.0,
        -40.0,
    )


def _rounded(part: NDArray[np.float32]) -> Floats:
    return part.astype(np.float16).astype(np.float32)


def write_network(path: Path, net: Network, changes: Mapping[int, LowRank]) -> None:
    """Write the second reading's network, its working point, and what is added to the encoder."""
    numbers = [net.bias, net.weight_first, net.weight_second, net.shift, net.low, net.low_long]
    arrays = {name: getattr(net, name).astype(np.float16) for name in ("filters", "filters_out", "inner", "inner_out")}
    biases = {name: getattr(net, name) for name in ("filters_bias", "inner_bias")}
    parts = {
        f"{part}_{at}": getattr(one, part).astype(np.float16) for at, one in changes.items() for part in ("down", "up")
    }
    np.savez_compressed(path, **arrays, **biases, **parts, numbers=np.array(numbers))


def shown(rows: Sequence[Row], head: LinearHead) -> list[Row]:
    """Return what `adapt.py` trains on: of each set and label up to `MOST` rows, of long ones the window that the head is surest of."""
    rng = random.Random(3)
    found: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        if row.set in TRAINED:
            found[row.set, row.attack].append(row)
    kept = [
        row
        for (name, _), each in sorted(found.items())
        for row in (each if name in {"composed", "others"} else rng.sample(each, min(len(each), MOST)))
    ]
    texts = Texts(kept)
    windows = [replace(row, text=window) for row, (_, window) in zip(texts.rows, _first(texts, head), strict=True)]
    rng.shuffle(windows)
    return windows


def _first(texts: Texts, head: LinearHead) -> list[tuple[float, str]]:
    """Return the head's logit of each text, and the window that the second reading would read."""
    found = []
    for text, read in zip(texts.texts, texts.read, strict=True):
        spans = read.spans()
        logits = head.logits(read, spans)
        best = int(logits.argmax())
        found.append((head.lowered(float(logits[best]), len(spans)), window_of(text, spans[best])))
    return found


def calibrated(
    rows: Sequence[Row], head: LinearHead, adapted: Path, counts: float
) -> tuple[Network, dict[int, LowRank]]:
    """Return the network with its working point, and what is added to the encoder; prints what both readings decide of the development data, without phrases.

    At most `RATES` and `IN_ATTACKERS_WORDS` of each kind of harmless text, and `LOOK_ALIKE_RATE` of what people wrote, lie above the point; `counts` says how much the second logit weighs beside the first, each by its spread over those.
    """
    with np.load(adapted, allow_pickle=False) as found:
        arrays = dict(found.items())
    net, changes = network_of(arrays), low_rank_changes(arrays)
    encoder = open_encoder(changes)
    assert encoder is not None, "The encoder's wheels are not installed."
    texts = Texts(rows)
    read = _first(texts, head)
    first = np.array([logit for logit, _ in read])
    sets = np.array([row.set for row in texts.rows])
    harmless = np.array([not row.attack for row in texts.rows])
    by_hand = np.array([is_by_hand(row) for row in texts.rows])
    low = max(edge(first[sets == name], IN_BAND) for name in ("clinc calibrate", "gsm8k calibrate", "exam calibrate"))
    floors = np.array([low if read.size <= LONG else low + LONGER for read in texts.read])
    again = first >= floors
    asked = again | by_hand
    second = np.array([net.logit(encoder.encode(read[at][1])) if asked[at] else 0.0 for at in range(len(read))])
    spreads = first[by_hand].std(), second[by_hand].std()
    net = replace(
        net,
        weight_first=float(1 / spreads[0]),
        weight_second=float(counts / spreads[1]),
        low=low,
        low_long=low + LONGER,
    )
    both = np.where(again, net.weight_first * first + net.weight_second * second, -40.0)
    edges = {name: edge(both[(sets == name) & harmless], most) for name, most in (RATES | IN_ATTACKERS_WORDS).items()}
    edges["by other hands"] = edge(both[by_hand], LOOK_ALIKE_RATE)
    print("   working points:", {name: round(value, 2) for name, value in edges.items()}, flush=True)
    net = replace(net, shift=LOGIT - max(edges.values()))
    for name in sorted(set(sets)):
        for attack in (True, False):
            these = (sets == name) & (harmless != attack)
            if these.any():
                above = both[these] + net.shift > LOGIT
                kind = "attack" if attack else "benign"
                print(f"{kind}: {name:<40} {above.sum():>5} of {these.sum():>5} {above.mean():>7.1%}", flush=True)
    return net, changes


def development(rows: Sequence[Row]) -> list[Row]:
    """Return what sets the point and what it is looked at on; of spikee the half that was read."""
    wanted = {*RATES, *LOOK_ALIKES, *IN_ATTACKERS_WORDS, "quotes calibrate", "wrapped kept", "short report", "spikee"}
    return [row for row in rows if row.set in wanted and (row.set != "spikee" or was_read(row.text))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "intents", "letters"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--texts", type=Path, help="write what `adapt.py` trains on")
    parser.add_argument("--adapted", type=Path, help="what `adapt.py` wrote")
    parser.add_argument("--counts", type=float, default=2.0, help="what the second logit counts beside the first")
    parser.add_argument("--write", action="store_true", help="write the weights")
    parser.add_argument("--ordinary", type=int, default=2500, help="ordinary prompts of each source and part")
    parser.add_argument("--files", type=int, default=120, help="files of every kind and part")
    options = parser.parse_args()
    rows, head = gather(options), load_head("injection")
    if options.texts:
        lines = [
            {"text": row.text, "attack": row.attack, "weight": WEIGHTS.get(row.set, 1.0)} for row in shown(rows, head)
        ]
        options.texts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if options.adapted:
        net, changes = calibrated(development(rows), head, options.adapted, options.counts)
        if options.write:
            write_network(OUT.with_name("second.npz"), net, changes)


if __name__ == "__main__":
    main()
