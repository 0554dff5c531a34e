"""English text for prompts of real models: this project's own documents."""

from pathlib import Path

_ROOT = Path(__file__).parents[1]
_CHARACTERS_PER_TOKEN = 4


def english(n_tokens: int, seed: int) -> str:
    """Return text of about `n_tokens` tokens; with another `seed` it begins differently."""
    text = "\n".join(path.read_text() for path in sorted(_ROOT.glob("docs/*.md")))
    n_characters = _CHARACTERS_PER_TOKEN * n_tokens
    while len(text) < 2 * n_characters:
        text += text
    start = seed * 977 % (len(text) - n_characters)
    return f"{seed}. {text[start : start + n_characters]}"
