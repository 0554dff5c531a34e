"""OpenAI's Responses API: items, streamed events, and the store of responses."""
