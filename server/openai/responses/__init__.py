"""The Responses API: answers in items, and conversations that the server remembers."""
