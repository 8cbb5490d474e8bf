"""Where the API is."""

from __future__ import annotations

import os

from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.sources import fault_of

DEFAULT_BASE_URL = "https://api.openai.com/v1"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"


def base_url_of(given: StrOrURL | None, path: str) -> tuple[URL, str]:
    """The base URL that is given, or that of the environment, or the provider's own.

    Args:
        given: What is given; the address of the endpoint will do.
        path: What the endpoint adds to the base URL.

    Returns:
        The URL, and what is wrong with it, in words that show nothing of it that may be a key: ``""`` if nothing is.
    """
    where = "base_url" if given is not None else BASE_URL_VARIABLE
    text = str(given) if given is not None else os.environ.get(where) or DEFAULT_BASE_URL
    if fault := fault_of(text):
        return URL(), f"{where} cannot be requested: {fault}"
    url = URL(text)
    plain = url.path.rstrip("/")
    return url.with_path(plain.removesuffix(path), keep_query=True) if plain.endswith(path) else url, ""
