"""Recorded answers of the reference server (Ollama 0.32.15), replayed against paddock."""
