"""Registry HTTP client: connections, redirects, proxies, authentication and repositories."""
