"""Continuous batching: slots, sequences, prefix index, sampling and the decode loop."""
