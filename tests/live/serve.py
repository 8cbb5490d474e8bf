"""Starts llama.cpp's own HTTP server, which the wheel ``xllamacpp`` brings, with the weights it is given.

    python serve.py WEIGHTS [--template FILE] [--context TOKENS] [--slots NUMBER]

Prints the address it listens on when it is ready to answer, and ends when its standard input does: so it ends with the
process that started it, in whatever way that ends.
"""

from __future__ import annotations

import argparse
import importlib
import pathlib
import sys
from typing import Any

PING_SECONDS = 5


def main() -> None:
    command = argparse.ArgumentParser()
    command.add_argument("weights")
    command.add_argument("--template", type=pathlib.Path)
    command.add_argument("--context", type=int, default=4096, help="tokens, shared by the slots")
    command.add_argument("--slots", type=int, default=2, help="answers at the same time")
    arguments = command.parse_args()
    # Optional, and without types.
    llama: Any = importlib.import_module("xllamacpp")
    server = llama.Server(parameters(llama.CommonParams(), arguments))
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


def parameters(params: Any, arguments: argparse.Namespace) -> Any:
    params.model.path = arguments.weights
    # A list in newer versions.
    params.hostnames = ["127.0.0.1"] if isinstance(params.hostnames, list) else "127.0.0.1"
    params.port = 0
    params.n_ctx = arguments.context
    params.n_parallel = arguments.slots
    # With two threads on a machine of two cores it is several times slower.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.ui = False
    params.endpoint_slots = True
    # With a cached prompt the model answers the same question differently, even at temperature 0.
    params.cache_prompt = False
    params.sse_ping_interval = PING_SECONDS
    if arguments.template is not None:
        params.chat_template = arguments.template.read_text()
    return params


if __name__ == "__main__":
    main()
