"""Where requests go, and that what says so shows no key."""

from __future__ import annotations

import traceback

import pytest
from pydantic import SecretStr
from yarl import URL

from rxllm.dialects import Endpoint, Home, OpenAIChat, WireRequest
from rxllm.models import ChatRequest

KEY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        # A version at the beginning of the path, and none.
        ("https://host", "/v1/messages", "https://host/v1/messages"),
        ("https://host/", "/v1/messages", "https://host/v1/messages"),
        ("https://host/v1", "/v1/messages", "https://host/v1/messages"),
        ("https://host/v1/", "/v1/messages", "https://host/v1/messages"),
        ("https://host/v1//", "/v1/messages", "https://host/v1/messages"),
        ("https://host/proxy/v1", "/v1/messages", "https://host/proxy/v1/messages"),
        ("https://host/proxy", "/v1/messages", "https://host/proxy/v1/messages"),
        ("https://host/v1", "/responses", "https://host/v1/responses"),
        ("https://host", "/responses", "https://host/responses"),
        ("https://host/v1beta", "/v1beta/models/m:go", "https://host/v1beta/models/m:go"),
        # Another version, and what only ends like one.
        ("https://host/v2", "/v1/messages", "https://host/v2/v1/messages"),
        ("https://host/dev1", "/v1/messages", "https://host/dev1/v1/messages"),
        ("https://host/models", "/models/m", "https://host/models/models/m"),
        # The whole address.
        ("https://host/v1/messages", "/v1/messages", "https://host/v1/messages"),
        ("https://host/v1/messages/", "/v1/messages", "https://host/v1/messages"),
        ("https://host/a/chat/completions", "/chat/completions", "https://host/a/chat/completions"),
        ("https://host/my-chat/completions", "/chat/completions", "https://host/my-chat/completions/chat/completions"),
        # A query stays, a fragment is none of a request.
        ("https://host/v1?api-version=1", "/v1/messages", "https://host/v1/messages?api-version=1"),
        ("https://host/v1/messages?a=b+c&a=%2F&d", "/v1/messages", "https://host/v1/messages?a=b+c&a=%2F&d"),
        ("https://host/v1#part", "/responses", "https://host/v1/responses"),
        # What is encoded stays so, in both.
        ("https://host/a%2Fb/v1", "/v1/messages", "https://host/a%2Fb/v1/messages"),
        ("https://host/%C3%BC", "/m/a%2Fb", "https://host/%C3%BC/m/a%2Fb"),
        # Ports, addresses, a login.
        ("http://127.0.0.1:8080/v1", "/responses", "http://127.0.0.1:8080/v1/responses"),
        ("http://[::1]:8080/v1", "/responses", "http://[::1]:8080/v1/responses"),
        ("http://[::1]", "/responses", "http://[::1]/responses"),
        ("https://user:p%40ss@host:444/v1", "/responses", "https://user:p%40ss@host:444/v1/responses"),
        ("wss://host/v1", "/realtime", "wss://host/v1/realtime"),
    ],
)
def test_a_path_is_joined_to_the_base_url(base_url: str, path: str, url: str) -> None:
    assert Endpoint(base_url=base_url).url(path) == url


@pytest.mark.parametrize(
    ("base_url", "query", "asked"),
    [
        ("https://host", {}, ""),
        ("https://host", {"alt": "sse"}, "?alt=sse"),
        ("https://host?key=a%2Fb", {"alt": "sse", "x": "a b&c"}, "?key=a%2Fb&alt=sse&x=a+b%26c"),
        # What the base URL says counts, and is not said twice.
        ("https://host?alt=sse", {"alt": "sse"}, "?alt=sse"),
        ("https://host?alt=&flag", {"alt": "sse", "flag": "1", "x": "y"}, "?alt=&flag&x=y"),
    ],
)
def test_a_query_is_joined_to_that_of_the_base_url(base_url: str, query: dict[str, str], asked: str) -> None:
    assert Endpoint(base_url=base_url).url("/m", query) == f"https://host/m{asked}"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.host/v1", "api.host"),
        ("https://API.Host:443/v1", "api.host"),
        ("http://api.host:80", "api.host"),
        ("http://api.host:443", "api.host:443"),
        ("https://api.host:80", "api.host:80"),
        ("wss://api.host:443", "api.host"),
        ("ws://api.host:443", "api.host:443"),
        ("http://127.0.0.1:8080/v1?x", "127.0.0.1:8080"),
        ("http://[::1]/v1", "::1"),
        ("http://[::1]:8080/v1", "::1:8080"),
        ("https://user:password@api.host/v1", "api.host"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("/v1", ""),
    ],
)
def test_the_host_has_its_port_if_that_is_not_the_usual_one(base_url: str, host: str) -> None:
    assert Endpoint(base_url=base_url).host == host


def test_the_host_is_written_as_that_of_an_answer() -> None:
    """Or no answer would go back as it came to where it came from."""
    # How a source writes it: see StreamInfo.host.
    for base_url in ("https://B\u00fccher.example/v1", "http://[::1]:8080", "https://HOST:443", "http://host:81"):
        url = URL(base_url)
        written = url.raw_host if url.is_default_port() else f"{url.raw_host}:{url.port}"
        assert Endpoint(base_url=str(url)).host == written


def test_no_repr_shows_a_secret() -> None:
    endpoint = Endpoint(base_url=f"https://user:{KEY}@host/v1?key={KEY}", key=SecretStr(KEY))
    wire = OpenAIChat().http_request(ChatRequest(model="m", messages=[]), endpoint)
    assert wire.headers == {"Authorization": f"Bearer {KEY}"}
    assert KEY in wire.url
    for each in (endpoint, wire):
        for text in (repr(each), str(each), f"{each!r}"):
            assert KEY not in text
            assert "user" not in text
    assert repr(endpoint) == "Endpoint(key=SecretStr('**********'))"
    assert repr(wire).startswith("<rxllm.dialects._endpoint.WireRequest object at ")


def test_a_traceback_with_variables_shows_no_secret() -> None:
    def fail(endpoint: Endpoint, wire: WireRequest) -> None:
        raise ValueError(endpoint.host, wire.method)

    endpoint = Endpoint(base_url=f"https://host/v1?key={KEY}", key=SecretStr(KEY))
    wire = OpenAIChat().http_request(ChatRequest(model="m", messages=[]), endpoint)
    with pytest.raises(ValueError, match="host") as caught:
        fail(endpoint, wire)
    caught.value.__traceback__ = caught.tb.tb_next
    assert KEY not in "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())


def test_without_a_key_there_is_no_header_for_one() -> None:
    wire = OpenAIChat().http_request(ChatRequest(model="m", messages=[]), Endpoint(base_url="http://localhost/v1"))
    assert dict(wire.headers) == {}
    assert (wire.method, wire.end_marker, wire.repairs, wire.public_headers) == ("POST", "[DONE]", (), ())


def test_a_home_has_an_address_and_the_rest_is_left_out() -> None:
    home = Home(base_url=None)
    assert (home.base_url_variable, home.key_variable) == (None, None)
