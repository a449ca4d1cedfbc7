from typing_extensions import Buffer

def encode(data: Buffer, /) -> bytes:
    """The bytes of `data` as padded base64 text. Any thread."""

def decode(text: Buffer | str, /) -> bytes:
    """The bytes that strict base64 `text` stands for. Any thread.

    Raises ValueError, with the offset, for a character outside the alphabet (white space too),
    for missing or misplaced padding, and for unused bits that are not zero.
    """
