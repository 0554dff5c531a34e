"""llama.cpp bindings: model, context, vocabulary, tokenizer and quantization."""
