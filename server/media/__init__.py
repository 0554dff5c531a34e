"""Images and audio of requests: downloading, validating and decoding."""
