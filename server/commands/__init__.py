"""Commands of `paddock`; the table in `server/cli.py` tells where each is."""
