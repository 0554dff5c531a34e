"""Conversations, tools and wishes to think as clients might send them, however odd."""

from hypothesis import strategies as st

from server.prompt.messages import Message, Tool, ToolCall

TEXTS = st.text(max_size=8) | st.sampled_from(
    ["<think>", "</think>", "<tool_response>", "<|channel>", "/think", "\n", "[img-0] Q"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
CALLS = st.builds(ToolCall, TEXTS, st.integers(0, 3), TEXTS, OBJECTS)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool", "developer", "other"]),
    content=TEXTS,
    thinking=TEXTS,
    tool_calls=st.lists(CALLS, max_size=2).map(tuple),
    tool_name=TEXTS,
    tool_call_id=TEXTS,
)
WORDS = st.sampled_from(["type", "properties", "items", "enum", "anyOf", "required", "$defs", "x"])
SCHEMAS = st.recursive(
    VALUES | st.sampled_from(["string", "array", "object"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
TOOLS = st.builds(
    Tool, TEXTS, TEXTS, TEXTS, st.dictionaries(WORDS, SCHEMAS, max_size=4), items=SCHEMAS
)
THINK = st.sampled_from([None, True, False, "low", "medium", "high", "max"])
CONVERSATIONS = st.lists(MESSAGES, max_size=5)
TOOL_LISTS = st.lists(TOOLS, max_size=2)
