"""Convert folders of safetensors files to GGUF, in a process of its own.

`process` is the server's side of it. Everything else runs in the child, because it computes for
minutes and reads files of strangers: `folder` and `tensors` read, `families` know the
architectures, `tokenizers` the vocabularies, `adapter` the LoRA and DoRA adapters, and `write`
writes.
"""
