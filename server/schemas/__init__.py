"""What the request schemas and wire types of all APIs share."""
