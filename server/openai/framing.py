"""Stream format of OpenAI's API: server-sent events that end with `[DONE]`."""

from server.http.envelopes import openai_envelope
from server.http.sse import ServerSentEvents

FRAMING = ServerSentEvents(openai_envelope, end=b"data: [DONE]\n\n")
"""A stream that fails ends with an object that has an `error`, and without `[DONE]`."""
