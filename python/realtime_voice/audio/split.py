"""A microphone of one kind and a speaker of another."""

from collections.abc import Callable

from realtime_voice.audio.engine import EngineAudioIO
from realtime_voice.audio.playout import Playout
from realtime_voice.audio.wire import AudioEvent, PlayoutDrained, PlayoutStarted, SpeechStarted, SpeechStopped, Wire


class SplitAudioIO:
    """Takes the microphone of one audio side and the speaker of another, such as a file and a device."""

    def __init__(self, microphone: EngineAudioIO, speaker: EngineAudioIO) -> None:
        self.microphone = microphone
        self.speaker = speaker

    async def start(self, wire_in: Wire, wire_out: Wire, *, framed: bool = True) -> None:
        """Open both; when one fails the other is closed again. Raises AudioDeviceError or AudioFileError."""
        await self.speaker.start(wire_in, wire_out, framed=framed)
        try:
            await self.microphone.start(wire_in, wire_out, framed=framed)
        except BaseException:
            await self.speaker.stop()
            raise

    async def stop(self) -> None:
        """Close both; more calls do nothing."""
        try:
            await self.microphone.stop()
        finally:
            await self.speaker.stop()

    async def captured(self) -> list[tuple[int, bytes]] | None:
        """Wait for the microphone's chunks; None when it has ended."""
        return await self.microphone.captured()

    def take(self) -> list[tuple[int, bytes]]:
        """Take the microphone's finished chunks (maybe none)."""
        return self.microphone.take()

    @property
    def listener(self) -> Callable[[], object] | None:
        """Called when there is something new of either side."""
        return self.microphone.listener

    @listener.setter
    def listener(self, listener: Callable[[], object] | None) -> None:
        self.microphone.listener = self.speaker.listener = listener

    def events(self) -> list[AudioEvent]:
        """Take the microphone's speech events, the speaker's playout events, and what happened to both devices."""
        return [
            *(event for event in self.microphone.events() if not isinstance(event, PlayoutStarted | PlayoutDrained)),
            *(event for event in self.speaker.events() if not isinstance(event, SpeechStarted | SpeechStopped)),
        ]

    @property
    def observer(self) -> Callable[[AudioEvent], object] | None:
        """Called with each event as it happens."""
        return self.speaker.observer

    @observer.setter
    def observer(self, observer: Callable[[AudioEvent], object] | None) -> None:
        self.microphone.observer = self.speaker.observer = observer

    @property
    def playout(self) -> Playout:
        """The speaker's playout."""
        return self.speaker.playout

    @property
    def levels(self) -> tuple[float, float]:
        """Peaks of the last block captured and played, dBFS."""
        return self.microphone.levels[0], self.speaker.levels[1]

    @property
    def silent(self) -> bool:
        """No recorded speech waits for the microphone."""
        return self.microphone.silent

    @property
    def playing(self) -> bool:
        """Something is waiting, queued or still sounding."""
        return self.speaker.playing

    @property
    def muted(self) -> bool:
        """The microphone's."""
        return self.microphone.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self.microphone.muted = muted

    @property
    def talking(self) -> bool:
        """The microphone's push-to-talk key."""
        return self.microphone.talking

    @talking.setter
    def talking(self, talking: bool) -> None:
        self.microphone.talking = talking

    @property
    def volume(self) -> float:
        """The speaker's gain."""
        return self.speaker.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self.speaker.volume = volume
