"""Go templates for well-known families, and how a model of one is recognised."""
