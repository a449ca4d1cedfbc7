"""The one interface between a session and whatever holds its microphone and speaker."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.audio.playout import Playout
    from realtime_voice.audio.wire import AudioEvent, Wire


class AudioIO(Protocol):
    """A microphone and a speaker: a device, files, or an application's own source and sink.

    The session calls `start`, then takes finished chunks from `captured` and feeds the peer's
    messages to `playout`. Everything happens on the event loop's thread.
    """

    muted: bool
    """True: silence leaves instead of what the microphone hears."""
    talking: bool
    """The push-to-talk key, held or not; only meaningful in that mode."""
    volume: float
    """Linear gain of the speaker, 0.0 to 4.0."""
    listener: "Callable[[], object] | None"
    """Called on the event loop where `captured` would return, while there is input; it may `take` and look at `events`.

    Set by the session, which is then told in the same turn of the event loop. Only what it leaves wakes `captured`.
    """

    @property
    def playout(self) -> "Playout":
        """Where the peer's audio goes; exists once `start` has returned."""

    async def start(self, wire_in: "Wire", wire_out: "Wire", *, framed: bool = True) -> None:
        """Open both sides; `framed` asks for whole append messages, else bare wire audio. Raises AudioDeviceError."""

    async def stop(self) -> None:
        """Close both sides within a second; more calls do nothing."""

    async def captured(self) -> list[tuple[int, bytes]] | None:
        """Wait for what is new: finished chunks (maybe none), each with the wire sample it begins at.

        None when the input has ended. Safe to cancel: nothing is lost.
        """

    def take(self) -> list[tuple[int, bytes]]:
        """Take the chunks that are finished (maybe none), as `captured` does, without waiting."""

    def events(self) -> list["AudioEvent"]:
        """Take what happened since the last call, in order of occurrence."""


def check_audio_io(audio: object) -> None:
    """Raise TypeError for what cannot be an audio side: a name, or a class in place of its instance."""
    if not isinstance(audio, type) and all(
        callable(getattr(audio, method, None)) for method in ("start", "stop", "captured", "events")
    ):
        return
    given = f"the class {audio.__name__}: call it" if isinstance(audio, type) else type(audio).__name__
    raise TypeError(f"audio must be an AudioIO, such as DeviceAudioIO(), not {given}")
