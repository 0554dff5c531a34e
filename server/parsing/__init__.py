"""Parse model output into content, thinking and tool calls."""
