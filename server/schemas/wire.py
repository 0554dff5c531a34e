"""Fields that replies of several APIs carry beside those of the API itself."""

import msgspec
from msgspec import UNSET, UnsetType


class TruncationNotice(msgspec.Struct, kw_only=True):
    """Base of objects that end an answer; the fields are set only when the prompt was truncated."""

    prompt_truncated: bool | UnsetType = UNSET
    prompt_tokens_dropped: int | UnsetType = UNSET

    def note_truncation(self, *n_dropped: int) -> None:
        """Set the fields from the dropped tokens of each answer, if any were dropped."""
        if most := max(n_dropped, default=0):
            self.prompt_truncated, self.prompt_tokens_dropped = True, most


class DebugInfo(msgspec.Struct, omit_defaults=True):
    """The rendered prompt, for requests with `_debug_render_only`."""

    rendered_template: str
    image_count: int = 0
