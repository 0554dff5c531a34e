"""Objects that the replies of several endpoints contain."""

import msgspec
from msgspec import UNSET, UnsetType

FINGERPRINT = "fp_ollama"


class PromptTokensDetails(msgspec.Struct):
    """How many tokens of the prompt were not computed again."""

    cached_tokens: int


class Usage(msgspec.Struct):
    """Tokens of the prompt, which counts once for all answers to it, and of the answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | UnsetType = UNSET


NO_USAGE = Usage(0, 0, 0)
