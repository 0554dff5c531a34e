"""OpenAI's API: request schemas, conversion to and from the domain, wire types."""
