"""ChatML turns, between `<|im_start|>` and `<|im_end|>`."""


def turn(role: str, content: str) -> str:
    return f"{opened(role, content)}<|im_end|>\n"


def opened(role: str, content: str = "") -> str:
    """Return a turn without its end."""
    return f"<|im_start|>{role}\n{content}"


def result(before: str, content: str, after: str) -> str:
    """Return a tool result; consecutive results share one user turn."""
    opening = "<|im_start|>user" if before != "tool" else ""
    closing = "<|im_end|>\n" if after != "tool" else ""
    return f"{opening}\n<tool_response>\n{content}\n</tool_response>{closing}"
