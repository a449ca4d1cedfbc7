from typing_extensions import Buffer

from realtime_core.ring import Ring

def append_message(audio: Buffer, event_id: str | None = None) -> bytes:
    """`{"type":"input_audio_buffer.append","audio":"<base64>"}` of the bytes of `audio`, as they go on the wire.

    `event_id`, at most 512 characters, is added as JSON text. Raises ValueError for a longer one
    or one that UTF-8 cannot say. Any thread.
    """

def append_message_into(out: Buffer, audio: Buffer, event_id: str | None = None) -> int:
    """`append_message` into the writable bytes of `out`, which `audio` does not share; returns the message's bytes.

    The message takes 47 bytes and 4 for every 3 of audio begun; an `event_id` of plain characters takes 14
    and its length. Raises ValueError when `out` is smaller, and as `append_message` does. Any thread.
    """

def append_from_ring(ring: Ring, samples: int, event_id: str | None = None) -> bytes | None:
    """`append_message` of the next `samples` samples of the ring, or None and nothing is taken when fewer are ready.

    Raises ValueError for a negative count and as `append_message` does; nothing is taken then. Ring
    reader's thread.
    """

def append_from_ring_into(out: Buffer, ring: Ring, samples: int, event_id: str | None = None) -> int:
    """`append_from_ring` into the writable bytes of `out`: the message's bytes, or 0 when fewer samples are ready.

    Raises ValueError when `out` is smaller than the message and as `append_from_ring` does; nothing
    is taken then. Ring reader's thread.
    """
