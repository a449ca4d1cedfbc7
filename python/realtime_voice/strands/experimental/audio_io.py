"""The microphone and the speaker for Strands' first bidirectional releases, `strands.experimental.bidi`."""

from __future__ import annotations

from typing import Any

from realtime_core import base64
from realtime_voice.strands.audio_io import AudioInputBase, AudioIOBase, AudioOutputBase
from realtime_voice.strands.experimental.model import WireAudio
from realtime_voice.strands.experimental.names import (
    BidiAudioInputEvent,
    BidiAudioStreamEvent,
    BidiConnectionCloseEvent,
    BidiInterruptionEvent,
    BidiResponseCompleteEvent,
    BidiResponseStartEvent,
)
from realtime_voice.strands.model import Stream


class BidiAudioIO(AudioIOBase):
    """Talk to the agent through a microphone and a speaker; the options are `AudioIOBase`'s."""

    def input(self) -> AudioInput:
        """Return the microphone."""
        return AudioInput(self._shared)

    def output(self) -> AudioOutput:
        """Return the speaker."""
        return AudioOutput(self._shared)


def _streams(agent: Any) -> tuple[Stream, Stream]:
    config = getattr(agent.model, "config", {}).get("audio")
    if config is None:
        raise TypeError("BidiAudioIO requires a model with audio: config['audio'] is missing")
    if config["format"] != "pcm":
        raise ValueError(f"BidiAudioIO requires signed 16-bit PCM, the model has {config['format']}")
    stream_in, stream_out = (
        Stream(sample_rate=config[rate], channels=config["channels"], format="pcm")
        for rate in ("input_rate", "output_rate")
    )
    return stream_in, stream_out


class AudioInput(AudioInputBase):
    """The microphone, as an input of the agent."""

    def _streams(self, agent: Any) -> tuple[Stream, Stream]:
        return _streams(agent)

    async def __call__(self) -> Any:
        """Return what the microphone heard next; at the end of a file it waits until it is cancelled.

        Raises:
            RuntimeError: `start` was not called.
        """
        audio, is_wire = await self._read()
        text = base64.encode(audio).decode("ascii")
        if is_wire:
            return WireAudio(audio=text, format="pcm", sample_rate=24_000, channels=1)
        return BidiAudioInputEvent(audio=text, **self._input_stream)

    @property
    def _input_stream(self) -> Stream:
        assert self._side is not None  # noqa: S101 - something was read
        return self._side.input_format


class AudioOutput(AudioOutputBase):
    """The speaker, as an output of the agent."""

    _content = 0
    """Of answers, which have no name in this generation, the present one's number."""

    def _streams(self, agent: Any) -> tuple[Stream, Stream]:
        return _streams(agent)

    async def __call__(self, event: Any) -> None:
        """Play what the event brings, stop at an interruption, and at the end wait until the last word was heard.

        Raises:
            ValueError: The audio is not in the format the speaker was opened for.
        """
        if isinstance(event, BidiConnectionCloseEvent):
            await self._drain()
        elif isinstance(event, BidiAudioStreamEvent):
            given = Stream(sample_rate=event.sample_rate, channels=event.channels, format=event.format)
            self._play(str(self._content), event.audio, given)
        elif isinstance(event, BidiInterruptionEvent):
            self._silence()
            self._content += 1
        elif isinstance(event, BidiResponseStartEvent | BidiResponseCompleteEvent):
            self._end(str(self._content))
            self._content += 1
