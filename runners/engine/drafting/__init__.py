"""Speculative decoding: tokens are drafted, computed in one batch, and accepted where sampled."""
