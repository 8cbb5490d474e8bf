"""Certificates of an authority of its own, for tests over TLS."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from rxllm.exceptions import MissingExtraError

__all__ = ["TLSContexts", "tls_contexts"]


class TLSContexts(NamedTuple):
    """The TLS contexts for the two sides of a connection.

    Attributes:
        server: For ``ScriptedServer(ssl=…)``.
        client: For a client that trusts this authority, such as ``aiohttp.TCPConnector(ssl=…)``. Other clients do not
            trust the server.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext


def tls_contexts(*names: str) -> TLSContexts:
    """Make a certificate authority, a server certificate, and a context for a client that trusts it. They last as long
    as the process.

    Args:
        names: The names and addresses of the certificate; by default ``127.0.0.1`` and ``localhost``.

    Raises:
        MissingExtraError: trustme is not installed: ``rxllm[testing]``.
    """
    try:
        import trustme  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("tls_contexts needs trustme: install rxllm[testing]", extra="rxllm[testing]") from error
    authority = trustme.CA()
    contexts = TLSContexts(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context())
    # They name types of pyOpenSSL, which is not installed.
    authority.issue_cert(*names or ("127.0.0.1", "localhost")).configure_cert(contexts.server)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(contexts.client)  # pyright: ignore[reportUnknownMemberType]
    return contexts
