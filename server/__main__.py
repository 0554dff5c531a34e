"""`python -m server serve` is `paddock serve`."""

from server.cli import main

main()
