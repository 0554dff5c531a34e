"""Continue an answer that the client began (assistant prefill) after a prompt that opens thinking.

Such an answer is past its thinking: a block that the prompt opens is closed, and the mark with
which a family begins the text of an answer is written.
"""

import re
from collections.abc import Sequence
from typing import Final

_ENDS: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(r"<think>\s*\Z"), "<think>\n\n</think>\n\n"),
    (re.compile(r"<think(:\w+)>\Z"), r"<think\1></think\1>"),  # Hunyuan 3
    (re.compile(r"<mm:think>\Z"), "</mm:think>"),  # MiniMax M3
    (
        re.compile(r"<\|open\|>think<\|sep\|>\Z"),
        "<|open|>think<|sep|><|close|>think<|sep|><|open|>response<|sep|>",
    ),  # Kimi K3
    (re.compile(r"<\|begin\|>assistant\Z"), "<|begin|>assistant<|content|>"),  # Solar Open
    (re.compile(r"(<\|end_header_id\|>\n\n)>>>\Z"), r"\1>>>all\n"),  # Functionary 3.2
)


def with_begun_answer(prompt: str, begun: str) -> str:
    """Return the prompt with the beginning of an answer, if there is one."""
    if not begun:
        return prompt
    for pattern, replacement in _ENDS:
        if pattern.search(prompt) is not None:
            return pattern.sub(replacement, prompt) + begun
    return prompt + begun
