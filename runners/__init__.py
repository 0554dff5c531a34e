"""Runner processes: `host` lives in the server, `engine` in the child, `protocol` they share."""
