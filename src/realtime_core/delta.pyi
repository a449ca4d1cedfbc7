from typing import Self, final

from typing_extensions import Buffer

from realtime_core.ring import Ring

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
        type, when its audio is missing, not base64, ends inside a sample or has more than 2**26
        samples. Nothing has been written then, and the stream goes on with the next delta.
        """

    def feed_audio(self, audio: str | Buffer, /) -> tuple[int, int, bytes | None]:
        """Base64 text alone: (start, end, pcm) as in Delta. Raises ValueError as `feed` does."""

    def flush(self) -> tuple[int, int, bytes | None]:
        """At the end of an item: what the resampler still holds, as (start, end, pcm)."""

    def adjust(self, ppm: float, /) -> bool:
        """From now on take the wire's true rate to be (1 + ppm / 1e6) times what it is said to be.

        Nothing clicks. False, and nothing changes, where wire and ring have the same rate. Raises ValueError beyond
        +-10000.
        """

    def reset(self) -> None:
        """After a cut: forget what the resampler still holds."""
