"""What replies tell when a prompt did not fit the context, beside the fields of their API."""

import msgspec
from msgspec import UNSET, UnsetType


class MayBeCut(msgspec.Struct, kw_only=True):
    """An object that ends an answer; the fields are there only when the prompt was cut."""

    prompt_truncated: bool | UnsetType = UNSET
    prompt_tokens_dropped: int | UnsetType = UNSET

    def tell_cut(self, *n_dropped: int) -> None:
        """Tell of the most tokens that went, if any did."""
        if most := max(n_dropped, default=0):
            self.prompt_truncated, self.prompt_tokens_dropped = True, most
