"""What `sluice plan` and `sluice simulate` share: the options that describe a model and the devices under it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sluice_cli.planning.accelerators import ACCELERATORS, Accelerator
from sluice_cli.planning.memory import FORMATS
from sluice_cli.planning.shape import ModelShape, UnknownShape, dense_shape, shape_of
from sluice_cli.platform.errors import CommandFailed

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="a Hugging Face config.json; else the numbers below describe the model",
        exists=True,
        dir_okay=False,
    ),
]
ParametersOption = Annotated[
    float | None,
    typer.Option("--parameters", min=0.001, help="billions of parameters", show_default="8.03, or what --config says"),
]
LayersOption = Annotated[int, typer.Option("--layers", min=1, help="of the model")]
WidthOption = Annotated[int, typer.Option("--width", min=1, help="hidden size")]
HeadsOption = Annotated[int, typer.Option("--heads", min=1, help="query heads")]
KvHeadsOption = Annotated[int, typer.Option("--kv-heads", min=1, help="key and value heads")]
DeviceOption = Annotated[str, typer.Option("--device", help="as `sluice plan accelerators` lists them")]
DevicesOption = Annotated[
    int, typer.Option("--devices", min=1, max=1024, help="devices that share the model (tensor parallelism)")
]
WeightsOption = Annotated[str, typer.Option("--weights", help=", ".join(FORMATS))]
KvOption = Annotated[str, typer.Option("--kv", help="the KV cache's format: fp16 or fp8")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
DEFAULT_PARAMETERS_B = 8.03


def read_shape(
    config: Path | None, parameters: float | None, layers: int, width: int, heads: int, kv_heads: int
) -> ModelShape:
    """Return the shape that the options describe.

    Raises:
        CommandFailed: the file is no configuration of a model, or the heads do not fit.
    """
    if config is None:
        if heads % kv_heads or width % heads:
            raise CommandFailed(
                f"{heads} heads do not go into a width of {width} and {kv_heads} key and value heads evenly."
            )
        return dense_shape(parameters or DEFAULT_PARAMETERS_B, layers, width, heads, kv_heads)
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise CommandFailed(f"{config} holds no JSON object.")
        return shape_of(found, parameters)
    except UnknownShape as exc:
        raise CommandFailed(f"{config}: {exc}") from exc
    except ValueError as exc:
        raise CommandFailed(f"{config} is no JSON: {exc}") from exc


def device_of(name: str) -> Accelerator:
    """Return an accelerator by name.

    Raises:
        CommandFailed: there is none of that name.
    """
    if name not in ACCELERATORS:
        raise CommandFailed(f"There is no device {name!r}; there are {', '.join(ACCELERATORS)}.")
    return ACCELERATORS[name]


def bits_of(name: str) -> float:
    """Return a format's bits.

    Raises:
        CommandFailed: there is none of that name.
    """
    if name not in FORMATS:
        raise CommandFailed(f"There is no format {name!r}; there are {', '.join(FORMATS)}.")
    return FORMATS[name].bits
