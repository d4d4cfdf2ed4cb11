"""The shipped configuration and one more model, `recorded`, which reaches the same engine through the recorder.

As a program: `python e2e_config.py FOLDER http://recorder:9000` writes it into FOLDER, in place of what lies there.
"""

import copy
import shutil
import sys
from pathlib import Path

import yaml

SHIPPED = Path(__file__).resolve().parents[2] / "deploy/config"


def config_with_recorded_model(folder: Path, recorder_url: str) -> Path:
    """Write the configuration and return its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SHIPPED, folder)
    path = folder / "models.yaml"
    config = yaml.safe_load(path.read_text())
    recorded = copy.deepcopy(next(model for model in config["models"] if model["name"] == "smollm2"))
    recorded["name"] = "recorded"
    recorded["fallbacks"] = []
    for deployment in recorded["deployments"]:
        deployment["id"] = "recorded"
        deployment["base_url"] = f"{recorder_url}/v1"
    config["models"].append(recorded)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


if __name__ == "__main__":
    config_with_recorded_model(Path(sys.argv[1]), sys.argv[2])
