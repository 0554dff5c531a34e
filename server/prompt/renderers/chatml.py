"""Turns between `<|im_start|>` and `<|im_end|>`."""


def turn(role: str, content: str) -> str:
    return f"{opened(role, content)}<|im_end|>\n"


def opened(role: str, content: str = "") -> str:
    """Return a turn that goes on."""
    return f"<|im_start|>{role}\n{content}"


def result(before: str, content: str, after: str) -> str:
    """Return the result of a tool; those next to each other share one turn of the user."""
    opening = "<|im_start|>user" if before != "tool" else ""
    closing = "<|im_end|>\n" if after != "tool" else ""
    return f"{opening}\n<tool_response>\n{content}\n</tool_response>{closing}"
