"""The shapes of requests (pydantic) and replies (msgspec) of the native API."""
