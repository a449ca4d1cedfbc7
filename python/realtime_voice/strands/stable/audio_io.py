"""The microphone and the speaker for Strands' present releases, `strands.bidi`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from strands.bidi.models import AudioCapable
from strands.bidi.types import (
    AudioDelta,
    BidiAudioDeltaEvent,
    BidiAudioStopEvent,
    BidiBargeInEvent,
    BidiConnectionStopEvent,
)
from typing_extensions import Unpack

from realtime_voice.strands.audio_io import AudioInputBase, AudioIOBase, AudioOptions, AudioOutputBase, Shared
from realtime_voice.strands.stable.model import WireAudio
from realtime_voice.strands.stable.stopping import heed_stop_requests

if TYPE_CHECKING:
    from strands.bidi import BidiAgent
    from strands.bidi.io import ConsoleIO
    from strands.bidi.types import BidiOutputEvent, OutputStream

    from realtime_voice.strands.model import Stream


class BidiAudioIO(AudioIOBase):
    """`AudioIOBase`, whose options it takes, and one more.

    Args:
        console: Strands' console, which shows what the speaker says and what else happens; none by default.
        **options: See `AudioIOBase`.
    """

    def __init__(self, *, console: ConsoleIO | None = None, **options: Unpack[AudioOptions]) -> None:
        super().__init__(**options)
        self._console = console

    def input(self) -> AudioInput:
        """Return the microphone."""
        return AudioInput(self._shared)

    def output(self) -> AudioOutput:
        """Return the speaker."""
        return AudioOutput(self._shared, None if self._console is None else self._console.output())


def _streams(agent: BidiAgent) -> tuple[Stream, Stream]:
    heed_stop_requests(agent)
    if not isinstance(agent.model, AudioCapable):
        raise TypeError("BidiAudioIO requires a model that implements AudioCapable")
    config = agent.model.get_audio_config()
    streams = cast("tuple[Stream, Stream]", (config["input"], config["output"]))
    for stream in streams:
        if stream["format"] != "pcm":
            raise ValueError(f"BidiAudioIO requires signed 16-bit PCM, the model has {stream['format']}")
    return streams


class AudioInput(AudioInputBase):
    """The microphone, as an input of the agent."""

    def _streams(self, agent: BidiAgent) -> tuple[Stream, Stream]:
        return _streams(agent)

    async def __call__(self) -> AudioDelta:
        """Return what the microphone heard next; at the end of a file it waits until it is cancelled.

        Raises:
            RuntimeError: `start` was not called.
        """
        audio, is_wire = await self._read()
        return (WireAudio if is_wire else AudioDelta)(format="pcm", source={"bytes": audio})


class AudioOutput(AudioOutputBase):
    """The speaker, as an output of the agent."""

    def __init__(self, shared: Shared, console: OutputStream | None) -> None:
        super().__init__(shared)
        self._console = console

    def _streams(self, agent: BidiAgent) -> tuple[Stream, Stream]:
        return _streams(agent)

    async def start(self, agent: BidiAgent) -> None:
        """Open the speaker. Raises what `AudioInput.start` raises."""
        await super().start(agent)
        if self._console is not None:
            await self._console.start(agent)

    async def stop(self) -> None:
        """Close the speaker; more calls do nothing."""
        if self._console is not None:
            await self._console.stop()
        await super().stop()

    async def __call__(self, event: BidiOutputEvent) -> None:
        """Play what the event brings, stop at a barge-in, and at the end wait until the last word was heard.

        Raises:
            ValueError: The audio is not in the format the speaker was opened for.
        """
        if self._console is not None:
            await self._console(event)
        if isinstance(event, BidiConnectionStopEvent):
            await self._drain()
        elif isinstance(event, BidiAudioDeltaEvent):
            given: Any = {"sample_rate": event.sample_rate, "channels": event.channels, "format": event.format}
            self._play(event.content_id, event.audio, given)
        elif (playout := self._playout) is not None:
            if isinstance(event, BidiAudioStopEvent):
                playout.end_item(event.content_id)
            elif isinstance(event, BidiBargeInEvent):
                playout.flush()
