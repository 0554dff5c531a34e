"""The native API (/api): request schemas, conversion to and from the domain, wire types."""
