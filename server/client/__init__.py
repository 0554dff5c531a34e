"""The client side of the command: connection, progress, terminal and chat; imports no server."""
