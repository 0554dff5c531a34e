"""What a model is shown."""

import msgspec


class Picture(msgspec.Struct, frozen=True, array_like=True):
    """An image, decoded: 8 bits each of red, green and blue, row by row from the top left."""

    width: int
    height: int
    rgb: bytes
