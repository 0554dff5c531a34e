"""The messages that cross between the server and a runner process, and their framing."""
