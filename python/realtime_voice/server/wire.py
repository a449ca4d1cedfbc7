"""What goes over the wire: audio (PCM 24 kHz, mu-law and A-law 8 kHz) and frames."""

import struct

from realtime_core import g711

WIRE_RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Hz of each wire format."""
SAMPLE_BYTES = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}


def bytes_per_ms(wire_format: str) -> int:
    """Return the size of a millisecond of audio."""
    return WIRE_RATES[wire_format] * SAMPLE_BYTES[wire_format] // 1000


def to_pcm(audio: bytes, wire_format: str) -> bytes:
    """Decode whole samples of wire audio to PCM16 at the wire's rate."""
    if wire_format == "audio/pcmu":
        return g711.decode_ulaw(audio)
    return g711.decode_alaw(audio) if wire_format == "audio/pcma" else audio


def from_pcm(pcm: bytes, wire_format: str) -> bytes:
    """Encode PCM16 at the wire's rate."""
    if wire_format == "audio/pcmu":
        return g711.encode_ulaw(pcm)
    return g711.encode_alaw(pcm) if wire_format == "audio/pcma" else pcm


def text_frame(text: bytes) -> bytes:
    """Return a whole text message as a server's WebSocket frame (RFC 6455, 5.2): final, not masked."""
    size = len(text)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + text
    return (struct.pack("!BBH", 0x81, 126, size) if size < 65_536 else struct.pack("!BBQ", 0x81, 127, size)) + text
