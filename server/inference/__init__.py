"""Inference services: from a request of the domain to the events of its answers."""
