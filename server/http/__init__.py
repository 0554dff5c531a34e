"""HTTP layer: request bodies, JSON and SSE responses, middleware, and the uvicorn server."""
