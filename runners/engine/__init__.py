"""The child side: one process that holds one model and computes for many requests at once."""
