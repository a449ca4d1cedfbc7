from typing_extensions import Buffer

def encode_ulaw(pcm: Buffer, /) -> bytes:
    """Samples as ITU-T G.711 mu-law, one byte each. Any thread."""

def decode_ulaw(data: Buffer, /) -> bytes:
    """Mu-law bytes as PCM16. Any thread."""

def encode_alaw(pcm: Buffer, /) -> bytes:
    """Samples as ITU-T G.711 A-law, one byte each. Any thread."""

def decode_alaw(data: Buffer, /) -> bytes:
    """A-law bytes as PCM16. Any thread."""
