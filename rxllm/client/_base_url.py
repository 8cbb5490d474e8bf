"""Where the API is."""

from __future__ import annotations

import os

from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm import sources

DEFAULT_BASE_URL = "https://api.openai.com/v1"


def base_of(given: StrOrURL | None, path: str) -> URL:
    """The base URL, be it that of the endpoint.

    Raises:
        ValueError: It cannot be requested. The message shows nothing of it that may be a key.
    """
    where = "base_url" if given is not None else "OPENAI_BASE_URL"
    text = str(given) if given is not None else os.environ.get(where) or DEFAULT_BASE_URL
    if fault := sources.fault_of(text):
        raise ValueError(f"{where} cannot be requested: {fault}")
    url = URL(text)
    plain = url.path.rstrip("/")
    return url.with_path(plain.removesuffix(path), keep_query=True) if plain.endswith(path) else url
