"""Measures the intent classifier on CLINC150: python tests/quality/router/intents.py FILE.jsonl.gz

The file has lines `{"split", "text", "intent"}` of clinc/oos-eval (CC BY 3.0; no data is part of the repository). It trains on `train`, sets temperature and floor on a
fifth of `train` that a first training left out (`oos_train` is only shown on the curve), and reports `val` and `oos_val` at that one floor. In scope counts
as right only what is not rejected. The embeddings are those of the platform: all-MiniLM-L6-v2 as the retrieval service runs it.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

import numpy as np

from sluice.minilm.files import find_model_files
from sluice_retrieval.adapters.minilm import Model, open_tokenizer
from sluice_router.domain.classify.head import Floats, energies
from sluice_router.domain.classify.training import Examples, assess, train

BARS = (0.94, 0.70)


def embedded(texts: list[str]) -> Floats:
    """Return unit vectors, of the first window of each text."""
    files = find_model_files()
    model = Model.load(files.model, open_tokenizer(files), 1, 512)
    windows = [found[0] for found in model.windows(texts)]
    out = np.zeros((len(texts), 384), dtype=np.float32)
    for group in model.batches([len(window) for window in windows]):
        out[group] = model.encode([windows[place] for place in group])
    found: Floats = out / np.linalg.norm(out, axis=1, keepdims=True)
    return found


def main() -> None:
    """Train, measure, print; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    rows = [json.loads(line) for line in gzip.decompress(parser.parse_args().file.read_bytes()).decode().splitlines()]
    split = {name: [row for row in rows if row["split"] == name] for name in ("train", "val", "oos_train", "oos_val")}
    vectors = {name: embedded([row["text"] for row in part]) for name, part in split.items()}
    texts = {name: tuple(row["text"] for row in part) for name, part in split.items()}
    classes = tuple(sorted({row["intent"] for row in split["train"]}))
    number = {name: place for place, name in enumerate(classes)}
    labels = {name: np.array([number[row["intent"]] for row in split[name]]) for name in ("train", "val")}
    head, held_out = train(
        Examples(classes, texts["train"], labels["train"], vectors["train"], texts["oos_train"], vectors["oos_train"])
    )
    scores, strange = head.scores(texts["val"], vectors["val"]), head.scores(texts["oos_val"], vectors["oos_val"])
    found = assess(head, scores, labels["val"], strange)
    plain = float((scores.argmax(axis=1) == labels["val"]).mean())
    area = float((energies(scores)[:, None] > energies(strange)[None, :]).mean())
    assert found.strangers_found is not None
    print(
        f"held out of train: in scope {held_out.accuracy:.1%}, rejected {held_out.rejected:.1%}, oos_train found {held_out.strangers_found:.1%}"
    )
    print(f"val: {plain:.1%} without a floor, {found.accuracy:.1%} with it ({found.rejected:.1%} rejected)")
    print(
        f"oos_val: {found.strangers_found:.1%} found, AUROC {area:.3f}; calibration error {found.calibration_error:.3f}"
    )
    print(f"bars: at least {BARS[0]:.0%} and {BARS[1]:.0%}")
    sys.exit(0 if found.accuracy >= BARS[0] and found.strangers_found >= BARS[1] else 1)


if __name__ == "__main__":
    main()
