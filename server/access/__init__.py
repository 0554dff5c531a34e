"""API keys: who may call which route, how often, and the record of it."""
