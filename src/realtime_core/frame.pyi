from typing import Self, final

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

@final
class Delta:
    """What one `response.output_audio.delta` said and where its audio is."""

    @property
    def response_id(self) -> str:
        """Empty when the message has none."""

    @property
    def item_id(self) -> str:
        """Empty when the message has none."""

    @property
    def output_index(self) -> int:
        """0 when the message has none."""

    @property
    def content_index(self) -> int:
        """0 when the message has none."""

    @property
    def samples(self) -> int:
        """Samples at the wire's rate."""

    @property
    def start(self) -> int:
        """Ring position of the first sample."""

    @property
    def end(self) -> int:
        """Ring position after the last sample; equals `start` when `pcm` holds the audio."""

    @property
    def pcm(self) -> bytes | None:
        """The audio at the ring's rate when the ring had no room for all of it or was not to be written, else None."""

    @property
    def audio(self) -> str:
        """The base64 text itself."""

@final
class DeltaDecoder:
    """Lays the audio of delta messages into a playout ring: base64, G.711 and resampling in one call.

    `ring_rate` and `wire_rate` are in Hz, 8000 to 192000; `wire_format` is "pcm" (16 bit), "pcmu"
    or "pcma". Raises ValueError for anything else. Ring writer's thread.
    """

    def __new__(cls, ring: Ring, ring_rate: int, *, wire_format: str = "pcm", wire_rate: int = 24000) -> Self: ...
    hold: bool
    """True: never write to the ring, always hand the audio out in `pcm` (what came before is still waiting)."""

    def feed(self, message: Buffer | str, /) -> Delta | None:
        """Decode a whole message; None when its type is another: it is for the JSON layer.

        Raises ValueError with the offset in bytes when the message is not a JSON object with a
        type, when its audio is missing, not base64, or ends inside a sample. Nothing has been
        written then, and the stream goes on with the next delta.
        """

    def feed_audio(self, audio: str | Buffer, /) -> tuple[int, int, bytes | None]:
        """Base64 text alone: (start, end, pcm) as in Delta. Raises ValueError as `feed` does."""

    def flush(self) -> tuple[int, int, bytes | None]:
        """At the end of an item: what the resampler still holds, as (start, end, pcm)."""

    def reset(self) -> None:
        """After a cut: forget what the resampler still holds."""
