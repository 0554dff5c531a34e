"""Why a file of a request cannot be used."""


class MediaError(Exception):
    """A file cannot be decoded; the text continues a sentence that begins with "image 1"."""
