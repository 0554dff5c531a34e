"""Authentication with registries: one module per scheme, listed in `authenticator.SCHEMES`."""
