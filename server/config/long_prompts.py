"""The policy for prompts of which truncation would leave less than half."""

from enum import StrEnum


class LongPrompts(StrEnum):
    """Whose long prompts are refused; those of others are truncated."""

    AGENTS = "agents"
    ALL = "all"
    NONE = "none"

    def refuses(self, *, is_agent: bool) -> bool:
        """Return whether such a prompt is refused; an agent compacts its conversation then."""
        return self is LongPrompts.ALL or (is_agent and self is LongPrompts.AGENTS)
