"""Convert a text completion request to the completions of the domain, one per prompt."""

from server.inference.conversation import Completion
from server.openai.completions.schemas import CompletionRequest
from server.openai.request import generation_params

# OpenAI's documented defaults, which override the parameters of the model.
_DEFAULTS = {
    "temperature": 1.0,
    "top_p": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
}


def completions_of(request: CompletionRequest) -> list[Completion]:
    """Return one completion per prompt of `request`.

    Raises:
        BadRequest: the response format is unknown or incomplete.
    """
    params = generation_params(request, _DEFAULTS)
    return [
        Completion(
            **params,
            prompt=prompt,
            suffix=request.suffix,
            logprobs=request.logprobs,
            # An echo has the log probabilities of the prompt as it was sent, and of all of it.
            prompt_logprobs=request.scores_prompt,
            raw=request.scores_prompt,
            truncate=not request.scores_prompt,
            prefill_only=request.max_tokens == 0,
        )
        for prompt in request.prompt
    ]
