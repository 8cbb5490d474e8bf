"""What a client tells OpenTelemetry: imported only where ``telemetry`` is given."""

from __future__ import annotations

from yarl import URL

from rxllm import models
from rxllm.dialects import provider_of
from rxllm.flow import Stream
from rxllm.models import ChatRequest, StreamChunk
from rxllm.operators import traced
from rxllm.telemetry import AskedFor, OpenTelemetry, telemetry_of


class Traces:
    """What a client tells of its answers and conversations.

    Args:
        telemetry: Whom it tells.
        dialect: The name of its dialect.
        url: Where its requests go; ``None`` for a pool, whose clients know.
    """

    def __init__(self, telemetry: OpenTelemetry, dialect: str, url: URL | None) -> None:
        self.telemetry = telemetry
        self._dialect = dialect
        self._host, self._port = (None, None) if url is None else (url.host, url.port)
        self._provider = provider_of(dialect, self._host)

    @classmethod
    def of(cls, given: OpenTelemetry | bool, dialect: str, url: URL) -> Traces | None:  # noqa: FBT001 - as it was given
        """What was asked for by ``telemetry``.

        Raises:
            MissingExtraError: The package ``opentelemetry-api`` is not installed.
            TypeError: It is none.
        """
        telemetry = telemetry_of(given)
        return None if telemetry is None else cls(telemetry, dialect, url)

    def of_pool(self) -> Traces:
        """The same for a pool that the client is in: nobody knows which server is going to answer."""
        return Traces(self.telemetry, self._dialect, None)

    def answer(self, chunks: Stream[StreamChunk], request: ChatRequest) -> Stream[StreamChunk]:
        """Tell of an answer."""
        asked = self._asked(request)
        return chunks.pipe(traced(lambda readings: self.telemetry.answer(asked, readings)))

    def conversation(self, events: Stream[models.ChatEvent], request: ChatRequest) -> Stream[models.ChatEvent]:
        """Tell of a conversation with tools, whose answers and tools are told of by themselves."""
        asked = self._asked(request)
        return events.pipe(traced(lambda _: self.telemetry.conversation(asked), stays=True))

    def _asked(self, request: ChatRequest) -> AskedFor:
        return AskedFor(
            request=request, provider=self._provider, dialect=self._dialect, host=self._host, port=self._port
        )
