"""What audio looks like on the wire, and what an audio side tells of it."""

from typing import Literal

import msgspec


class Wire(msgspec.Struct, frozen=True):
    """One direction's audio format on the wire: 16-bit PCM, or 8-bit G.711 at 8 kHz; mono.

    Raises ValueError for a rate the format cannot have.
    """

    encoding: Literal["pcm", "pcmu", "pcma"] = "pcm"
    rate: int = 24000
    """Samples per second."""

    def __post_init__(self) -> None:
        if self.encoding not in {"pcm", "pcmu", "pcma"}:
            raise ValueError(f"wire encoding must be 'pcm', 'pcmu' or 'pcma', got {self.encoding!r}")
        if self.encoding != "pcm" and self.rate != 8000:
            raise ValueError(f"{self.encoding} travels at 8000 samples per second, got {self.rate}")
        if self.encoding == "pcm" and self.rate != 24000:
            raise ValueError(f"pcm travels at 24000 samples per second, got {self.rate}")


class Heard(msgspec.Struct, frozen=True):
    """How much of an item the user heard when playout was cut."""

    item_id: str
    content_index: int
    played_ms: int
    """Milliseconds that reached the speaker: the `audio_end_ms` of a truncate."""
    received_ms: int
    """Milliseconds that had arrived from the peer."""


class SpeechStarted(msgspec.Struct, frozen=True):
    """The local speech detector heard the user begin."""

    sample: int
    """Wire sample at which the speech begins, counted from the start of the session."""
    time: float
    """Seconds of the audio clock when that sample was captured."""


class SpeechStopped(msgspec.Struct, frozen=True):
    """The local speech detector heard the user end."""

    sample: int
    """First wire sample after the speech, counted from the start of the session."""
    time: float
    """Seconds of the audio clock when that sample was captured."""


class PlayoutStarted(msgspec.Struct, frozen=True):
    """The first sample of an item reached the speaker."""

    item_id: str
    time: float
    """Seconds of the audio clock."""


class PlayoutDrained(msgspec.Struct, frozen=True):
    """The last sample of an item reached the speaker: its end, or where it was cut."""

    item_id: str
    time: float
    """Seconds of the audio clock."""


class BargeIn(msgspec.Struct, frozen=True):
    """The user began to speak while the agent did: decided in the device's callback, which has acted already."""

    action: Literal["ducked", "cut", "restored"]
    """The agent became quieter; was silenced for good; or is as loud as before, for the speech did not last."""
    time: float
    """Seconds of the audio clock when that was to be heard first."""
    after_s: float
    """Seconds from the first captured sample of the speech to there, without the device's own latency."""
    probability: float
    """That the last 10 ms before were speech."""
    heard: tuple[Heard, ...] = ()
    """When cut: how much was heard of each item not yet played to its end, oldest first."""


class DeviceLost(msgspec.Struct, frozen=True):
    """The sound device stopped; it, or the default, is opened as soon as there is one."""

    reason: str
    time: float
    """Seconds of the audio clock when it was noticed."""


class DeviceRestored(msgspec.Struct, frozen=True):
    """A sound device is open again: positions go on, and what waited to be played plays."""

    microphone: str
    """Its name; empty without a microphone."""
    speaker: str
    """Its name; empty without a speaker."""
    missed_ms: int
    """How long the microphone was not heard and the speaker stood still."""
    time: float
    """Seconds of the audio clock."""


class MicrophoneSilent(msgspec.Struct, frozen=True):
    """The microphone has given nothing but zeros since it was opened: muted, not permitted, or not plugged in."""

    microphone: str
    """Its name."""
    time: float
    """Seconds of the audio clock."""


AudioEvent = (
    SpeechStarted
    | SpeechStopped
    | PlayoutStarted
    | PlayoutDrained
    | BargeIn
    | DeviceLost
    | DeviceRestored
    | MicrophoneSilent
)
