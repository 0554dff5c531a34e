"""Server configuration: settings read from the environment, and their value types."""
