"""The microphone and the speaker for Strands' present releases, `strands.bidi`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, cast

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
    from strands.bidi.io import AudioProcessorConfig, ConsoleIO
    from strands.bidi.types import BidiOutputEvent, OutputStream

    from realtime_voice.strands.model import Stream

STREAM_DELAY_MS: Final = 1000
"""Longest delay that Strands' configuration may name."""


class BidiAudioIO(AudioIOBase):
    """`AudioIOBase`, whose options it takes, and Strands' own two.

    Args:
        console: Strands' console, which shows what the speaker says and what else happens; none by default.
        audio_processor: Echo control in Strands' words: True or an ``AudioProcessorConfig`` is echo control with noise
            suppression and gain control, False is none; None leaves it to the options. ``stream_delay_ms`` is not
            needed: what was played is aligned with what was captured by construction.
        **options: See `AudioIOBase`.

    Raises:
        ValueError: An option is wrong, or echo control is chosen in both words.
        ModuleNotFoundError: Echo control is asked for, and the extra `aec` is not installed.
    """

    def __init__(
        self,
        *,
        console: ConsoleIO | None = None,
        audio_processor: AudioProcessorConfig | bool | None = None,
        **options: Unpack[AudioOptions],
    ) -> None:
        if audio_processor is not None:
            processing = _processing(audio_processor)
            if twice := sorted(processing.keys() & options.keys()):
                raise ValueError(f"give audio_processor or {', '.join(twice)}, not both: they are the same setting")
            options.update(processing)
        super().__init__(**options)
        self._console = console

    def input(self) -> AudioInput:
        """Return the microphone."""
        return AudioInput(self._shared)

    def output(self) -> AudioOutput:
        """Return the speaker."""
        return AudioOutput(self._shared, None if self._console is None else self._console.output())


def _processing(chosen: AudioProcessorConfig | bool) -> AudioOptions:
    """Return Strands' `audio_processor` as our options. Raises ValueError."""
    if not isinstance(chosen, bool | dict):
        raise ValueError(f"audio_processor must be a bool or an AudioProcessorConfig, not {chosen!r}")  # noqa: TRY004
    if chosen is False:
        return {"echo_control": None}
    config: dict[str, Any] = {} if chosen is True else dict(chosen)
    cancels, delay_ms = config.pop("echo_cancellation", True), config.pop("stream_delay_ms", 0)
    if config:
        raise ValueError(f"audio_processor has no {sorted(config)}: it takes echo_cancellation and stream_delay_ms")
    if not isinstance(delay_ms, int) or not 0 <= delay_ms <= STREAM_DELAY_MS:
        raise ValueError(f"stream_delay_ms must be a whole number from 0 to {STREAM_DELAY_MS}, not {delay_ms!r}")
    if cancels:
        return {"echo_control": "webrtc", "noise_suppression": "moderate", "gain_control": True}
    if delay_ms:
        raise ValueError("stream_delay_ms requires echo cancellation")
    warnings.warn("noise suppression and gain control come with echo control only: both are off", stacklevel=3)
    return {"echo_control": None}


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
        elif isinstance(event, BidiAudioStopEvent):
            self._end(event.content_id)
        elif isinstance(event, BidiBargeInEvent):
            self._silence()
