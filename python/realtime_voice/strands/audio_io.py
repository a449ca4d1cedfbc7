"""The microphone and the speaker of a Strands agent, on the project's audio engine.

With a model of ours the answers' audio does not come this way at all: it goes from the socket into the speaker's ring,
and the user's speech silences it there. With any other model that can speak, both come as Strands' events. Here is what
does not depend on the generation of Strands; its events are read in `stable` and `experimental`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from realtime_core import base64
from realtime_voice.audio import Wire
from realtime_voice.audio.barge_in import settle
from realtime_voice.audio.base import check_audio_io
from realtime_voice.audio.echo import check_echo_options
from realtime_voice.strands.convert import FromWire, ToWire
from realtime_voice.strands.model import RealtimeModel, follow

if TYPE_CHECKING:
    from realtime_voice.audio import AudioIO
    from realtime_voice.audio.barge_in import BargeInOptions, Policy
    from realtime_voice.audio.device import Latency
    from realtime_voice.audio.echo import EchoOptions, NoiseSuppression
    from realtime_voice.audio.engine import CaptureOptions, GateOptions
    from realtime_voice.strands.model import Stream

logger = logging.getLogger(__name__)

FAREWELL_S = 30.0
"""Longest wait, at the end of a conversation, for what was said last to be heard."""

DEFAULT_FRAMES = 512
"""Frames of a block where only the number of blocks is given, as in Strands' own audio I/O."""

_POLL_S = 0.02
_PCM = Wire()


class AudioOptions(TypedDict, total=False):
    """The options of `AudioIOBase`."""

    audio: AudioIO | None
    input_device_index: int | None
    input_frames_per_buffer: int | None
    input_buffer_size: int | None
    output_device_index: int | None
    output_frames_per_buffer: int | None
    output_buffer_size: int | None
    input_device: str | None
    output_device: str | None
    latency: Latency | None
    echo_control: Literal["auto", "webrtc"] | None
    noise_suppression: NoiseSuppression | None
    gain_control: bool
    barge_in: Policy | None
    headset: bool
    confirm_ms: int | None
    confirm_probability: float | None
    duck_db: float | None
    local_turns: bool


class AudioIOBase:
    """Talk to the agent through a microphone and a speaker, or what stands for them.

    Works with every Strands model that can speak. Input and output share one audio side: take both from the same
    object.

    Args:
        audio: Where audio comes from and goes to: a `FileAudioIO`, `VirtualAudioIO`, `PushAudioIO` or anything that
            does the same. The sound devices by default, opened when the agent starts.
        input_device_index: Number of the microphone, as `realtime devices` lists it; the system's by default.
        input_frames_per_buffer: Frames, at the model's rate, of one block from the device; by default 20 ms on
            Linux and 10 ms elsewhere. Of two sizes the smaller one holds, for both sides.
        input_buffer_size: Chunks (20 ms, 100 ms while nobody speaks) of the microphone that may wait for the model;
            then the oldest are dropped. By default 10 s.
        output_device_index: Number of the speaker; the system's by default.
        output_frames_per_buffer: The same for the speaker.
        output_buffer_size: Blocks that may wait behind the 10 s in the speaker's ring before no more is read from the
            model's socket; 32 MiB by default.
        input_device: The microphone by part of its name, instead of its number.
        output_device: The speaker by part of its name, instead of its number.
        latency: "low", "safe" or milliseconds, as for `DeviceAudioIO`.
        echo_control: Takes what the speaker plays out of what the microphone hears: "webrtc", which the extra `aec`
            brings; "auto", the default: where that is installed; or None.
        noise_suppression: Of echo control: "low", "moderate", "high", "very high", or None.
        gain_control: Of echo control: brings speech to one level.
        barge_in: Who decides that the user interrupts: "local", the sound device's callback; "server"; "both"; "off".
            By default "both" with echo control or a headset, else "server". With a model of another's its own
            events decide.
        headset: The microphone does not hear the speaker.
        confirm_ms: Speech after which the callback silences the agent, 10 to 10000 ms: 60, with a headset 150.
        confirm_probability: How sure of speech it must be, 0 to 1: 0.5, with a headset 0.7.
        duck_db: How much quieter the agent is until that is decided, -120 to 0 dB: -12.
        local_turns: The speech detector here ends the user's turns, and only what it takes for speech is sent; for a
            model of ours whose ``turn_detection`` is None. Interrupting is `barge_in` "local" then. An `audio` of your
            own is best in the mode "gated".

    Raises:
        TypeError: `audio` is no audio side.
        ValueError: An option is wrong, or given together with `audio`, which has its own.
    """

    def __init__(
        self,
        *,
        audio: AudioIO | None = None,
        input_device_index: int | None = None,
        input_frames_per_buffer: int | None = None,
        input_buffer_size: int | None = None,
        output_device_index: int | None = None,
        output_frames_per_buffer: int | None = None,
        output_buffer_size: int | None = None,
        input_device: str | None = None,
        output_device: str | None = None,
        latency: Latency | None = None,
        echo_control: Literal["auto", "webrtc"] | None = "auto",
        noise_suppression: NoiseSuppression | None = None,
        gain_control: bool = False,
        barge_in: Policy | None = None,
        headset: bool = False,
        confirm_ms: int | None = None,
        confirm_probability: float | None = None,
        duck_db: float | None = None,
        local_turns: bool = False,
    ) -> None:
        if audio is not None:
            check_audio_io(audio)
        echo: EchoOptions = {}
        if echo_control != "auto":
            echo["echo_control"] = echo_control
        if noise_suppression is not None:
            echo["noise_suppression"] = noise_suppression
        if gain_control:
            echo["gain_control"] = True
        check_echo_options({"echo_control": "auto", **echo})
        interrupting: BargeInOptions = {}
        if barge_in is not None:
            interrupting["barge_in"] = barge_in
        if headset:
            interrupting["headset"] = True
        if confirm_ms is not None:
            interrupting["confirm_ms"] = confirm_ms
        if confirm_probability is not None:
            interrupting["confirm_probability"] = confirm_probability
        if duck_db is not None:
            interrupting["duck_db"] = duck_db
        settle(interrupting, echo_controlled=False)
        devices = {
            "input_device_index": input_device_index,
            "input_frames_per_buffer": input_frames_per_buffer,
            "input_buffer_size": input_buffer_size,
            "output_device_index": output_device_index,
            "output_frames_per_buffer": output_frames_per_buffer,
            "output_buffer_size": output_buffer_size,
        }
        given: dict[str, Any] = {name: value for name, value in devices.items() if value is not None}
        for name, value in given.items():
            lowest = 0 if name.endswith("index") else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name} must be a whole number from {lowest}, not {value!r}")
        ours = {"input_device": input_device, "output_device": output_device, "latency": latency}
        for side, chosen in (("input", input_device), ("output", output_device)):
            if chosen is not None and f"{side}_device_index" in given:
                raise ValueError(f"{side}_device and {side}_device_index both choose the device: give one of them")
        given |= {name: value for name, value in ours.items() if value is not None}
        if audio is not None and given:
            raise ValueError(f"{', '.join(given)} belong to the sound devices: leave them out, or leave out audio")
        if audio is not None and (echo or interrupting):
            wrong = ", ".join([*echo, *interrupting])
            raise ValueError(f"{wrong} belong to the sound devices: leave them out, or leave out audio")
        gate: GateOptions = {"mode": "gated"} if local_turns else {}
        capture = cast("CaptureOptions", {**echo, **interrupting, **gate})
        self._shared = Shared(audio, given, capture, local_turns=local_turns)

    @property
    def dropped_chunks(self) -> int:
        """How many chunks of the microphone the model did not take in time, and never will."""
        return self._shared.dropped_chunks


class Shared:
    """The one audio side of input and output: open while either is."""

    def __init__(
        self, audio: AudioIO | None, devices: dict[str, Any], capture: CaptureOptions, *, local_turns: bool
    ) -> None:
        self._audio = audio
        self._local_turns = local_turns
        self._devices = devices
        self._capture = capture
        self._side: AudioSide | None = None
        self._users = 0
        self._dropped_chunks = 0  # of audio sides that are closed
        self._opening = asyncio.Lock()

    @property
    def dropped_chunks(self) -> int:
        """How many chunks were captured and not taken in time."""
        return self._dropped_chunks + (0 if self._side is None else self._side.dropped_chunks)

    async def open(self, model: Any, streams: tuple[Stream, Stream]) -> AudioSide:
        """Start the audio side for whoever comes first; later calls share it."""
        async with self._opening:
            if self._side is None:
                side = AudioSide(model, streams, self._audio or self._device(streams), local_turns=self._local_turns)
                await side.start()
                self._limit(side)
                self._side = side
            self._users += 1
            return self._side

    async def close(self) -> None:
        """Stop it when the last user has gone."""
        self._users -= 1
        if self._users == 0 and self._side is not None:
            side, self._side = self._side, None
            self._dropped_chunks += side.dropped_chunks
            await side.stop()

    def _device(self, streams: tuple[Stream, Stream]) -> AudioIO:
        from realtime_voice.audio.device import DeviceAudioIO

        # Both sides have blocks of one length; the device counts their frames at its own rate.
        sides = zip(("input", "output"), streams, strict=True)
        blocks = [block_s for side, stream in sides if (block_s := self._block_s(side, stream))]
        return DeviceAudioIO(
            input_device=self._devices.get("input_device", self._devices.get("input_device_index")),
            output_device=self._devices.get("output_device", self._devices.get("output_device_index")),
            latency=self._devices.get("latency"),
            block_s=min(blocks, default=None),
            **self._capture,
        )

    def _block_s(self, side: str, stream: Stream) -> float | None:
        frames = self._devices.get(f"{side}_frames_per_buffer")
        return None if frames is None else float(frames) / stream["sample_rate"]

    def _limit(self, side: AudioSide) -> None:
        """Bound what may wait, where the options say so."""
        side.input_chunks = self._devices.get("input_buffer_size")
        blocks = self._devices.get("output_buffer_size")
        if blocks is not None:
            frames = self._devices.get("output_frames_per_buffer", DEFAULT_FRAMES)
            side.audio.playout.backlog_bytes = 2 * blocks * frames


class AudioSide:
    """One started `AudioIO` and what it has to do for the agent's model."""

    def __init__(self, model: Any, streams: tuple[Stream, Stream], audio: AudioIO, *, local_turns: bool) -> None:
        self.direct = model if isinstance(model, RealtimeModel) else None
        """The model, if it feeds the speaker itself."""
        self.audio = audio
        self._local_turns = local_turns
        self.input_format, self.output_format = streams
        self.input_chunks: int | None = None
        """How many chunks of the microphone may wait; None: as many as the audio side keeps."""
        self._too_many = 0

    @property
    def dropped_chunks(self) -> int:
        """How many chunks were captured and not taken in time."""
        return self._too_many + int(getattr(self.audio, "dropped_chunks", 0))

    def newest(self, chunks: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Return of chunks that waited those that were to wait."""
        kept = chunks if self.input_chunks is None else chunks[-self.input_chunks :]
        self._too_many += len(chunks) - len(kept)
        return kept

    async def start(self) -> None:
        """Open the audio side in the formats of the wire, and let a model of ours have the speaker."""
        if self._local_turns and self.direct is None:
            raise ValueError("local_turns needs BidiOpenAIRealtimeModel of realtime_voice.strands")
        wire_in, wire_out = self.direct.wires if self.direct else (_PCM, _PCM)
        await self.audio.start(wire_in, wire_out, framed=False)
        if self.direct:
            self.audio.playout.tell_events = self.tell_events
            try:
                self.direct.attach_playout(self.audio.playout, local_turns=self._local_turns)
            except ValueError:
                await self.audio.stop()
                raise
        else:
            self.audio.playout.interruptible = False  # by the callback: another model could not be told

    def tell_events(self) -> None:
        """Tell a session of ours what the audio side heard and played: its measure of how long the user waits."""
        session = self.direct.session if self.direct else None
        for event in self.audio.events():
            if session is not None:
                session.audio_event(event)

    async def stop(self) -> None:
        """Close it."""
        if self.direct:
            self.direct.attach_playout(None)
        await self.audio.stop()


class AudioInputBase(ABC):
    """The microphone, as an input of the agent."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._side: AudioSide | None = None
        self._convert: FromWire | None = None

    @abstractmethod
    def _streams(self, agent: Any) -> tuple[Stream, Stream]:
        """Return what the agent's model hears and speaks, ready to end the conversation when a tool wants it."""

    async def start(self, agent: Any) -> None:
        """Open the microphone.

        Raises:
            TypeError: The model cannot speak.
            ValueError: Its audio is not PCM16.
            AudioDeviceError: There is no such device, or it cannot be opened; the message says what to do.
        """
        follow(agent)
        self._side = await self._shared.open(agent.model, self._streams(agent))
        stream = self._side.input_format
        self._convert = None if self._side.direct else FromWire(_PCM, stream["sample_rate"], stream["channels"])

    async def stop(self) -> None:
        """Close the microphone; more calls do nothing."""
        if self._side is not None:
            self._side = None
            await self._shared.close()

    async def _read(self) -> tuple[bytes, bool]:
        """Return what the microphone heard next, and whether it is the wire's audio or the application's.

        After the end of an input that ends (a file), it waits until it is cancelled: the conversation ends it.
        """
        if self._side is None:
            raise RuntimeError("audio input not started | call start before reading")
        while True:
            chunks = await self._side.audio.captured()
            self._side.tell_events()
            if chunks is None:
                await asyncio.Event().wait()
            elif chunks:
                audio = b"".join(chunk for _, chunk in self._side.newest(chunks))
                return (audio, True) if self._convert is None else (self._convert.samples(audio), False)


class AudioOutputBase(ABC):
    """The speaker, as an output of the agent."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._side: AudioSide | None = None
        self._convert: ToWire | None = None

    @abstractmethod
    def _streams(self, agent: Any) -> tuple[Stream, Stream]:
        """Return what the agent's model hears and speaks, ready to end the conversation when a tool wants it."""

    async def start(self, agent: Any) -> None:
        """Open the speaker. Raises what the input's `start` raises."""
        follow(agent)
        self._side = await self._shared.open(agent.model, self._streams(agent))
        stream = self._side.output_format
        self._convert = None if self._side.direct else ToWire(stream["sample_rate"], stream["channels"], _PCM)

    async def stop(self) -> None:
        """Close the speaker; more calls do nothing."""
        if self._side is not None:
            self._side = None
            await self._shared.close()

    def _play(self, content_id: str, audio: str, given: Stream) -> None:
        """Play base64 audio in the format `given`. Raises ValueError unless the speaker was opened for that."""
        if self._side is None or self._convert is None:
            return
        stream = self._side.output_format
        if given != stream:
            raise ValueError(
                f"the audio ({given['format']}, {given['sample_rate']} Hz, {given['channels']} channels) does not "
                f"match the playback format {stream}: start the audio I/O again"
            )
        if (given["sample_rate"], given["channels"]) != (_PCM.rate, 1):
            audio = base64.encode(self._convert.convert("pcm", base64.decode(audio))).decode("ascii")
        self._side.audio.playout.feed_audio(content_id, audio)

    def _end(self, content_id: str) -> None:
        """Play an answer to its last sample: no more of it will come. A model of ours does so itself."""
        if self._side is None or self._convert is None:
            return
        if rest := self._convert.flush():
            self._side.audio.playout.feed_audio(content_id, base64.encode(rest).decode("ascii"))
        self._side.audio.playout.end_item(content_id)

    def _silence(self) -> None:
        """Play nothing more of what came so far. A model of ours has done so itself."""
        if self._side is None or self._convert is None:
            return
        self._side.audio.playout.flush()
        self._convert.flush()

    async def _drain(self) -> None:
        """Wait until the last word was heard."""
        if self._side is None:
            return
        try:
            async with asyncio.timeout(FAREWELL_S):
                while self._side.audio.playout.active:  # noqa: ASYNC110 - the device's thread cannot set an event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            logger.warning("the last words were not heard to their end within %s s", FAREWELL_S)
