"""Where the API is."""

from __future__ import annotations

import os

from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.dialects import Home
from rxllm.sources import fault_of


def base_url_of(given: StrOrURL | None, home: Home) -> URL:
    """The base URL that is given, or that of the environment, or the dialect's own.

    Args:
        given: What is given.
        home: Where the dialect is at home.

    Raises:
        ValueError: It cannot be requested. The message shows nothing of it that may be a key.
    """
    variable, where = home.base_url_variable, "base_url"
    if given is not None:
        text = str(given)
    elif variable and (text := os.environ.get(variable, "")):
        where = variable
    elif home.base_url is not None:
        text = home.base_url
    else:
        advice = f", or set {variable}" if variable else ""
        advice += f", {home.hint}" if home.hint else ""
        raise ValueError(f"this dialect has no base URL of its own: give it as base_url={advice}")
    if fault := fault_of(text):
        raise ValueError(f"{where} cannot be requested: {fault}")
    return URL(text)
