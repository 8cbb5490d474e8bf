"""Which key a client sends with its requests.

Rules:

1. A key that is given goes to the base URL, wherever that is.
2. A key of the environment goes to the provider that it is of, to the base URL of the same environment, and to this
   machine. To other servers it has to be given: their operators would learn it. Where the provider is, and what the
   variables are called, the dialect knows.
3. If a server refuses a request that had no key, the error says which variable there is, and why it was not used.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

from aiohttp.typedefs import StrOrURL
from pydantic import SecretStr
from yarl import URL

from rxllm.dialects import Home
from rxllm.exceptions import APIStatusError
from rxllm.sources import ORIGIN_SCHEMES, Headers

_REFUSALS = frozenset({401, 403})
_OF_A_LOGIN = ("authorization", "key", "token", "cookie")


@dataclass(frozen=True)
class Key:
    """The key that a client sends.

    Attributes:
        value: The key, empty if there is none.
        absence: Why there is none.
    """

    value: SecretStr
    absence: str = ""

    @classmethod
    def of(cls, given: str | SecretStr | None, base_url: URL, home: Home) -> Key:
        """The key that is given, or that of the environment if it may go there."""
        if given is not None:
            value = given.get_secret_value() if isinstance(given, SecretStr) else given
            # One that was read from a file ends with a line break.
            return cls(SecretStr(value.strip()), "api_key is empty")
        variable = home.key_variable
        if variable is None:
            return cls(SecretStr(""), "give it as api_key=")
        value = os.environ.get(variable, "").strip()
        if not value:
            return cls(SecretStr(""), f"give it as api_key=, or set {variable}, which is not set")
        if _may_have_that_of_the_environment(base_url, home):
            return cls(SecretStr(value))
        origins = [str(URL(home.base_url).origin())] if home.base_url else []
        places = ", to ".join([*origins, *filter(None, [home.base_url_variable])])
        only = f"{places} and to this machine" if places else "this machine"
        return cls(
            SecretStr(""),
            f"{variable} is set, but goes only to {only}; to send a key elsewhere, give it as api_key=",
        )

    def is_missing(self, headers: Headers) -> bool:
        """Whether a request with these headers has no key."""
        return not self.value.get_secret_value() and not any(
            word in name.lower() for name in headers for word in _OF_A_LOGIN
        )

    def explain(self, error: Exception) -> Exception:
        """Say in a refusal of a request without key why there was none."""
        if isinstance(error, APIStatusError) and error.status in _REFUSALS:
            error.args = (f"{error.message}; the client sent no key: {self.absence}",)
        return error


def _may_have_that_of_the_environment(base_url: URL, home: Home) -> bool:
    if _is_this_machine(base_url.host or ""):
        return True
    own = [home.base_url, os.environ.get(home.base_url_variable or "")]
    return _origin(base_url) in {_origin(_read(each)) for each in own if each} - {None}


def _is_this_machine(host: str) -> bool:
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _read(url: StrOrURL) -> URL | None:
    try:
        return URL(url)
    except ValueError:
        return None


def _origin(url: URL | None) -> tuple[str, str, int | None] | None:
    """Scheme, host and port; ``None`` for what is no URL of HTTP."""
    if url is None or not url.host or url.scheme not in ORIGIN_SCHEMES:
        return None
    return ORIGIN_SCHEMES[url.scheme], url.host.lower().removesuffix("."), url.port
