"""Hugging Face Hub: repositories and GGUF files for hf.co model names."""
