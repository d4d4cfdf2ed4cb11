"""Where the harness reads and writes; everything written lies under the git-ignored .sluice/bench."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NATIVE = Path(__file__).resolve().parent / "native"
WORK = ROOT / ".sluice" / "bench"
BUILD = WORK / "native"
PEERS = WORK / "peers"
LOGS = WORK / "logs"
RESULTS = WORK / "results"
PEER_INPUTS = ROOT / "requirements" / "bench-peers"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
