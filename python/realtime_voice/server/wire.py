"""Audio as it goes over the wire: PCM 24 kHz, mu-law and A-law 8 kHz."""

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
