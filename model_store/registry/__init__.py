"""Models from other machines and to them: registries of Ollama's kind, OCI registries, hf.co.

Importing this package costs nothing; the HTTP client comes with `client`.
"""
