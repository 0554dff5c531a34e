"""Models as files: names, blobs, manifests and GGUF headers; knows nothing of HTTP or inference."""
