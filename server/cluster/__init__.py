"""A cluster: an agent on each machine starts runners there, for the server that clients know."""
