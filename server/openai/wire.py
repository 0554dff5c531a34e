"""Objects that the replies of several endpoints contain."""

import msgspec
from msgspec import UNSET, UnsetType

FINGERPRINT = "fp_ollama"


class PromptTokensDetails(msgspec.Struct):
    """The tokens of the prompt that were taken from the KV cache."""

    cached_tokens: int


class CompletionTokensDetails(msgspec.Struct):
    """The tokens of a `prediction` that are in the answer, and those that were tried in vain."""

    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(msgspec.Struct):
    """Tokens of the prompts and of the answers; a prompt counts once for all its answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | UnsetType = UNSET
    completion_tokens_details: CompletionTokensDetails | UnsetType = UNSET


NO_USAGE = Usage(0, 0, 0)
