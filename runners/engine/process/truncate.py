"""Truncation of prompts and embedding inputs that exceed the context; pure."""

from collections.abc import Collection

import numpy as np

from runners.engine.native.llama import TokenIds


def truncate_prompt(tokens: TokenIds, n_ctx: int, n_keep: int, *, adds_bos: bool) -> TokenIds:
    """Cut the middle out of `tokens`, so that half of the context behind `n_keep` is free.

    The first `n_keep` tokens stay (all that fit when negative, and BOS on top of them), then
    the newest ones. The numbers are the reference server's, and clients rely on them.
    """
    keep = (len(tokens) if n_keep < 0 else n_keep) + (1 if adds_bos else 0)
    keep = min(keep, n_ctx - 1)
    limit = n_ctx - max((n_ctx - keep) // 2, 1)
    if len(tokens) <= limit:
        return tokens
    return np.concatenate([tokens[:keep], tokens[len(tokens) - (limit - keep) :]])


def truncate_text(tokens: TokenIds, limit: int, closing: Collection[int]) -> TokenIds:
    """Cut `tokens` at the end to `limit`; a closing special token stays the last one."""
    if len(tokens) <= limit:
        return tokens
    if int(tokens[-1]) not in closing:
        return tokens[:limit].copy()  # a view would keep all of them in memory
    return np.concatenate([tokens[: limit - 1], tokens[-1:]])
