"""From messages to the prompt that a model reads."""
