"""Run llama.cpp's OpenAI-compatible server as a process: `python -m sluice_inference.engines.llamacpp`.

It imports nothing of the platform, so that the process holds the engine and little else. Status 0: it was asked to
end; 3: the wheel is missing; 4: the model cannot be loaded or the port is taken. With --lifeline it ends as soon as its
standard input closes, which happens when whoever started it dies, however that came about.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

EXIT_NO_WHEEL = 3
EXIT_CANNOT_SERVE = 4
_WARNINGS = 2


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Load the model, serve until SIGTERM, SIGINT or the end of the lifeline."""
    options = _parser().parse_args(arguments)
    wanted_end = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the engine makes its threads, so that all of them leave these signals to sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted_end)
    if options.lifeline:
        threading.Thread(target=_end_with_standard_input, name="lifeline", daemon=True).start()
    for what, file in (("model", options.model), ("adapter", options.adapter)):
        if file is not None and not file.is_file():
            _fail(EXIT_CANNOT_SERVE, f"The {what} file {file} does not exist.")
    # OpenMP reads it when its library is loaded; threads that spin while idle cost the machine nine tenths of its speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # noqa: TID251 - written for a library, not read
    try:
        import xllamacpp  # noqa: PLC0415 - heavy, and only after the variable above is set
    except ImportError as exc:
        _fail(EXIT_NO_WHEEL, f"The wheel xllamacpp cannot be imported ({exc}). Install it: pip install xllamacpp")
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, options))
    except (RuntimeError, ValueError, OSError) as exc:
        what = options.model.name if options.adapter is None else f"{options.model.name} with {options.adapter.name}"
        _fail(EXIT_CANNOT_SERVE, f"llama.cpp cannot serve {what} on {options.host}:{options.port}: {exc}.")
    print(f"llama.cpp serves {options.alias} at {server.listening_address}", flush=True)  # noqa: T201 - the log's first line
    number = signal.sigwait(wanted_end)
    print(f"ending on {signal.Signals(number).name}", flush=True)  # noqa: T201
    # The supervisor has drained the engine; taking its threads apart one by one would only delay the end.
    os._exit(0)


def _parameters(xllamacpp: Any, options: argparse.Namespace) -> Any:
    cache = {"f16": xllamacpp.ggml_type.GGML_TYPE_F16, "q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0}[options.cache_type]
    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias}
    params.hostnames = [options.host]
    params.port = options.port
    # llama.cpp divides the whole context by the slots.
    params.n_ctx = options.context_tokens * options.slots
    params.n_parallel = options.slots
    params.n_batch = params.n_ubatch = options.batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.cache_type_k = params.cache_type_v = cache
    params.cache_ram_mib = options.prompt_cache_mib
    params.endpoint_metrics = True
    # /slots shows the prompts of other callers; the counters in /metrics are enough.
    params.endpoint_slots = False
    params.ui = False
    params.cors_origins = ""
    params.offline = True
    if options.chat_template is not None:
        params.chat_template = options.chat_template.read_text(encoding="utf-8")
    if options.adapter is not None:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(options.adapter), 1.0)]
    params.verbosity = _WARNINGS
    return params


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice_inference.engines.llamacpp", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--alias", required=True, help="name of the model in the API")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--context-tokens", type=int, default=4096, help="context of each slot")
    parser.add_argument("--slots", type=int, default=2, help="requests that run at once")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=512, help="prompt tokens computed in one step")
    parser.add_argument("--cache-type", choices=("f16", "q8_0"), default="f16", help="number format of the KV cache")
    parser.add_argument("--prompt-cache-mib", type=int, default=64, help="memory for prompts of finished requests")
    parser.add_argument(
        "--chat-template", type=Path, help="file of the template that takes the place of the model's own"
    )
    parser.add_argument("--adapter", type=Path, help="GGUF file of a LoRA adapter that every answer is made with")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input closes")
    return parser


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _fail(status: int, sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - the supervisor reads the last lines of the log
    os._exit(status)


if __name__ == "__main__":
    main()
