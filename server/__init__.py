"""The HTTP edge: the only package that knows FastAPI and pydantic."""
