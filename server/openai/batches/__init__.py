"""/v1/files and /v1/batches: work that is done while nobody else needs the server."""
