"""What the `paddock` command can do besides serving."""
