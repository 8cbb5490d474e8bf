"""A chat of a few turns over WebSockets: one a turn, the request as its first frame, each chunk a frame.

Everything behind ``websocket_stream`` is the same as behind ``chat_stream``. Few public servers
speak this; gateways do.
"""

from __future__ import annotations

from _endpoint import Endpoint, endpoint
from _running import stoppable

import rxllm
from rxllm import ChatRequest, Message
from rxllm import operators as ops

TURNS = {
    "What is a tide?": "The sea rising and falling twice a day, because the moon pulls at it.",
    "And the sun?": "It pulls too, a bit less than half as much.",
    "What if both pull in line?": "Then the tide is highest: a spring tide, at full moon and at new moon.",
}


async def main(server: Endpoint) -> None:
    """Ask each question with the conversation so far."""
    conversation = [Message.system("Answer in one short sentence.")]
    async with server.connect(*TURNS.values()) as client:
        for question in TURNS:
            conversation.append(Message.user(question))
            print(f"you    {question}\n", flush=True)
            request = ChatRequest(model=server.model, messages=conversation, max_tokens=200)
            answer = await client.websocket_stream(request).pipe(
                ops.timeout_per_chunk(10, first=60),
                ops.tee_to_display(),
                ops.accumulate(),
            )
            print()
            conversation.append(answer.message)
    print(f"{len(conversation)} messages; the last request carried all but the last.")


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint(only="the others are not spoken over WebSockets here")))
