"""Build a release in dist/: see `python -m release --help` and docs/maintaining.md."""
