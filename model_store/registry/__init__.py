"""Pull and push models: registries of the reference's kind, OCI registries, hf.co.

Importing this package is cheap; the HTTP client is imported with `client`.
"""
