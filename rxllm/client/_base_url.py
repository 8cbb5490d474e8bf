"""Where the API is."""

from __future__ import annotations

import os

from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.dialects import Home
from rxllm.sources import fault_of


def base_url_of(given: StrOrURL | None, home: Home) -> tuple[URL, str]:
    """The base URL that is given, or that of the environment, or the dialect's own.

    Args:
        given: What is given.
        home: Where the dialect is at home.

    Returns:
        The URL, and what is wrong with it, in words that show nothing of it that may be a key: ``""`` if nothing is.
    """
    where, text = "base_url", given
    if given is None and home.base_url_variable is not None and (text := os.environ.get(home.base_url_variable)):
        where = home.base_url_variable
    text = str(text or home.base_url or "") if given is None else str(given)
    if fault := fault_of(text):
        return URL(), f"{where} cannot be requested: {fault}"
    return URL(text), ""
