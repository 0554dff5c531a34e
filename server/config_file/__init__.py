"""The configuration file `paddock.toml`: found, checked with line numbers, merged, reloaded."""
