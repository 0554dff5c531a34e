"""The parent side of the runner processes: which models are loaded, where, and for how long."""
