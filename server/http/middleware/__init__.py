"""What happens to a request before it reaches a route, as ASGI applications around each other."""
