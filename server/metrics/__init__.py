"""Prometheus metrics: what requests cost, and what the runners hold."""
