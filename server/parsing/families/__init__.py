"""Output formats by the parser names of model configs, one file per model family."""
