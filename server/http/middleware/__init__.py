"""ASGI middleware: checks and redirects before a request reaches its route."""
