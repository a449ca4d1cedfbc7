"""Microphone and speaker of this machine, through whatever happens to them."""

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from typing_extensions import Unpack

from realtime_voice.audio import portaudio
from realtime_voice.audio.cadence import Cadence
from realtime_voice.audio.clock import Clock
from realtime_voice.audio.engine import CaptureOptions
from realtime_voice.audio.portaudio import SIDES, Choice, Streams, in_thread
from realtime_voice.audio.ticked import HOP_S, TickedAudioIO
from realtime_voice.audio.wire import DeviceLost, DeviceRestored, MicrophoneSilent
from realtime_voice.errors import AudioDeviceError

LINUX: Final = sys.platform.startswith("linux")
BLOCK_S: Final = 0.02 if LINUX else 0.01
"""On Linux a normal-priority callback thread must survive a busy machine."""
LOW_BLOCK_S: Final = 0.01
LEAST_BLOCK_S: Final = 0.0025
BLOCKS_OF_LATENCY: Final = 3
"""On Linux: a third of the latency is the length that PortAudio and ALSA run in. Blocks of another are packed anew,
and a stream of both sides then begins with a click of stale memory."""
LEAP_S: Final = 0.1
"""A device that tells of a longer way than before by more than this was starved or changed."""

PERIODS_TO_DEATH: Final = 3
DEAD_S: Final = 0.3
"""A stream without a callback for so long, and for three periods, is dead; a busy machine may be late by less."""
START_S: Final = 2.0
"""How long the first callback may take: a headset by radio wakes up slowly."""
HOPS_PER_CHECK: Final = 10
FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 2.0
CLOSING_S: Final = 1.0
SILENT_S: Final = 2.5
"""A microphone that gave nothing but zeros for so long is said to be silent."""
MAKE_UP_S: Final = 10.0
"""Silence made up for in one go at most: longer leaps of the clock are a machine that slept."""

Latency = Literal["low", "safe"] | int

_logger = logging.getLogger(__name__)


class DeviceAudioIO(TickedAudioIO):
    """Microphone and speaker of this machine, opened when the session starts.

    Their streams call the C core, which never waits for Python. Each side is chosen by number, by part of its name, or
    None for the default; False leaves it out. Each device runs at a rate and number of channels of its own;
    `input_channel` and `output_channel` choose one of these, from 1, and 0 takes the mean of all and plays on all.
    `latency` is "low" (10 ms blocks and what the device offers at best), "safe" (room for a busy machine) or
    milliseconds; by default "safe" on Linux and "low" elsewhere. `block_s` sets the length of a block alone.

    A device that was unplugged, stopped or is silent in death is noticed within half a second (a longer `latency` if
    that is given) and opened again, or the default in its place, with positions and what waits to be played kept:
    `DeviceLost` and `DeviceRestored` tell of it. Meanwhile the microphone counts as silent and the speaker stands
    still. After `patience_s` without any device `captured` raises AudioDeviceError. Echo control is "auto" unless one
    side is left out. The user interrupts as `BargeInOptions` say: decided in the callback ("both") with echo control
    or a `headset`, else by the server.
    """

    def __init__(
        self,
        *,
        input_device: int | str | Literal[False] | None = None,
        output_device: int | str | Literal[False] | None = None,
        input_channel: int = 0,
        output_channel: int = 0,
        latency: Latency | None = None,
        block_s: float | None = None,
        patience_s: float = 60.0,
        record: str | Path | None = None,
        clock: Clock | None = None,
        **options: Unpack[CaptureOptions],
    ) -> None:
        if input_device is False and output_device is False:
            raise ValueError("input_device and output_device are both left out: one of them must be a device")
        for name, channel in (("input_channel", input_channel), ("output_channel", output_channel)):
            if not 0 <= channel <= 32:
                raise ValueError(f"{name} must be 0 (all) or a channel from 1 to 32, got {channel}")
        if not patience_s >= 0.0:
            raise ValueError(f"patience_s must be 0.0 or more, got {patience_s}")
        if input_device is False or output_device is False:
            if options.get("echo_control") == "webrtc":
                raise ValueError("echo control needs both sides: a microphone and a speaker")
            if options.get("barge_in") in {"local", "both"}:
                raise ValueError("barge_in by the device needs both sides: a microphone and a speaker")
            options["echo_control"] = None
        options.setdefault("echo_control", "auto")
        super().__init__(record=record, clock=clock, **options)
        self._is_live = True
        self._has_open_speaker = input_device is not False and output_device is not False
        self._latency, self._block_s = _settled(latency, block_s)
        self._period_s = self._block_s  # in which the device asks for one block or for several at once
        if isinstance(self._latency, float):
            self._period_s = max(self._block_s, self._latency / BLOCKS_OF_LATENCY)
        self._wanted = input_device, output_device
        self._channels = input_channel, output_channel
        self._patience_s = patience_s
        self._streams: Streams | None = None
        self._opening: asyncio.Task[None] | None = None
        self._lost_at: float | None = None
        self.missed_s = 0.0
        """Seconds in which there was no device: the microphone was not heard, the speaker stood still."""

    # Opening

    async def _open(self) -> None:
        try:
            choice = await in_thread(self._choose, self._wanted)
        except AudioDeviceError:
            await in_thread(portaudio.rescan)  # it may have come since the program began
            choice = await in_thread(self._choose, self._wanted)
        self._assemble(choice.rate)
        # By name from now on: numbers change when devices come and go.
        self._names = tuple(side and side.device.name for side in choice)
        self._lost_at = None
        self._sounding = 0.0
        try:
            self._use(await in_thread(self._opened, choice))
        except BaseException:
            await self._close_streams()
            raise

    def _choose(self, wanted: tuple[int | str | Literal[False] | None, ...]) -> Choice:
        microphone, speaker = (
            None if device is False else portaudio.choose(device, side, channel=channel)
            for device, side, channel in zip(wanted, SIDES, self._channels, strict=True)
        )
        return portaudio.agree(microphone, speaker)

    def _opened(self, choice: Choice) -> Streams:
        return Streams(self.duplex, choice, latency=self._latency, block_s=self._block_s)

    def _use(self, streams: Streams) -> None:
        self._streams = streams
        self._input_latency_s = streams.input_latency_s
        self.playout.measure = self._ahead
        self._blocks = streams.blocks
        self._started = False
        self._cadence = Cadence(self._block_s)
        self._still = [0.0, 0.0]
        self._looked = self._alive_at = self._clock.time()
        self._hops = 0
        self._zeros = 0

    async def _close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            with suppress(asyncio.CancelledError):
                await self._opening
            self._opening = None
        self._streams = None
        await self._close_streams()

    async def _close_streams(self) -> None:
        # Also those just given up, and those that a call which cannot be called off is opening.
        closing = asyncio.ensure_future(in_thread(portaudio.close_streams, self.duplex))
        try:
            await asyncio.wait_for(asyncio.shield(closing), CLOSING_S)
        except TimeoutError:
            _logger.warning("the sound device does not close")

    # Watching

    def _next(self, due: float) -> float:
        """Look just after the next block, so that what it brings leaves at once; blocks keep the system's clock."""
        timing = self.duplex.timing() if self._started and self._streams and self._given_clock is None else None
        if timing is None:
            return super()._next(due)
        frames, age_s, _, _ = timing
        return self._cadence.next(self._clock.time(), frames, age_s)

    def _hop(self) -> None:
        now = self._clock.time()
        if self._streams is not None:
            reason = self._ailing(self._streams, now)
            if reason:
                self._lose(self._streams, reason)
        if self._lost_at is not None:
            self._make_up(now, self._lost_at)
        super()._hop()

    def _ailing(self, streams: Streams, now: float) -> str:
        """Say what is wrong with the streams; nothing when nothing is."""
        blocks, before = streams.blocks, self._blocks
        self._blocks = blocks
        # A loop that was late itself, or a machine that slept, says nothing of the device.
        passed = min(now - self._looked, 3 * HOP_S)
        self._looked = now
        for side in range(2):
            self._still[side] = 0.0 if blocks[side] != before[side] else self._still[side] + passed
        if max(self._still) == 0.0:
            self._alive_at = now
            if not self._started:
                self._started = True
                self._found(now)
        bound = max(PERIODS_TO_DEATH * self._period_s, DEAD_S if self._started else START_S)
        if max(self._still) > bound:
            return f"no sign of life for {max(self._still):.1f} s"
        self._hops += 1
        if self._hops % HOPS_PER_CHECK == 0 and not streams.active:
            return "it was unplugged or its sound server ended"
        return ""

    def _ahead(self, frames: int) -> float:
        """Seconds by which a count of frames the device has asked for is ahead of what sounds now.

        The device tells at every block how long its first frame takes until it sounds, and that is believed more than
        the latency it promised, from which a stream of both sides may be blocks off. A callback that came late is told
        of a shorter time, so both together are steady. What was heard only grows.
        """
        rate, timing = self.duplex.rate, self.duplex.timing()
        if self._streams is not None and timing is not None:
            before, age_s, _, delay_s = timing
            delay_s = delay_s or self._streams.output_latency_s
            sounding = before + (min(age_s, self._period_s) - delay_s) * rate
            if sounding > self._sounding or sounding < self._sounding - LEAP_S * rate:
                self._sounding = sounding
        return (frames - self._sounding) / rate

    def _notice(self, captured: bytes) -> None:
        """Tell of a microphone that has given nothing but zeros since it was opened; real ones always rustle."""
        if self._zeros < 0 or self.muted or self._streams is None or self._streams.choice.microphone is None:
            return
        if captured.count(0) < len(captured):
            self._zeros = -1
            return
        self._zeros += len(captured) // 2
        if self._zeros > SILENT_S * self.duplex.rate:
            self._zeros = -1
            self._tell(MicrophoneSilent(self._streams.choice.microphone.device.name, self._clock.time()))

    @property
    def names(self) -> tuple[str, str]:
        """Names of the microphone and the speaker that are open, empty where there is none."""
        choice = (None, None) if self._streams is None else self._streams.choice
        microphone, speaker = ("" if side is None else side.device.name for side in choice)
        return microphone, speaker

    def bridged(self) -> dict[str, int | float]:
        """Tell what lies between the devices and the core: how their clocks differ, and samples lost by it."""
        return {} if self._streams is None else self._streams.stats()

    # Losing and finding

    def reopen(self) -> None:
        """Open anew, on what is the default now where that was asked for: for whom the system tells of such changes."""
        if self._running and self._streams is not None:
            self._lose(self._streams, "another device was asked for")

    def _lose(self, streams: Streams, reason: str) -> None:
        self._streams = None
        if self._lost_at is None:
            self._lost_at = self._made_up_to = self._alive_at
            self._tell(DeviceLost(reason, self._clock.time()))
        self._opening = asyncio.create_task(self._open_again(streams), name="sound device")

    async def _open_again(self, lost: Streams) -> None:
        await in_thread(lost.close)
        pause = 0.0
        while True:
            try:
                choice = await in_thread(self._choose_again)
                streams = await in_thread(self._opened, choice)
                break
            except AudioDeviceError as error:
                _logger.info("no sound device yet: %s", error)
                pause = min(max(FIRST_RETRY_S, 2 * pause), LAST_RETRY_S)
                await self._clock.sleep_until(self._clock.time() + pause)
        self._opening = None
        self._use(streams)

    def _found(self, now: float) -> None:
        """Tell of a device that has come to life again."""
        if self._lost_at is None:
            return
        self._make_up(now, self._lost_at)
        missed_s = now - self._lost_at
        self._lost_at = None
        self.missed_s += missed_s
        self._tell(DeviceRestored(*self.names, round(missed_s * 1000), now))

    def _choose_again(self) -> Choice:
        """Choose the same devices, by the names they had, or the defaults where those are gone."""
        portaudio.rescan()
        named = tuple(
            device if device is None or device is False else name
            for device, name in zip(self._wanted, self._names, strict=True)
        )
        try:
            return self._choose(named)
        except AudioDeviceError:
            return self._choose(tuple(False if device is False else None for device in named))

    def _make_up(self, now: float, lost_at: float) -> None:
        """Have time go on without a device: silence is captured, for a server must see it pass."""
        if now - lost_at > self._patience_s:
            raise AudioDeviceError(
                f"the sound device stopped and none came back within {self._patience_s:.0f} s; {portaudio.ADVICE}"
            )
        if self._behind:
            return
        frames = round(min(now - self._made_up_to, MAKE_UP_S) * self.duplex.rate)
        self._made_up_to = now
        if self._wanted[0] is not False:
            self._capture(bytes(2 * frames))
        if self._recorder is not None:
            self._recorder.pause(frames)


def _settled(latency: Latency | None, block_s: float | None) -> tuple[float | Literal["low", "high"], float]:
    """Return what PortAudio is asked for, and the length of a block. Raises ValueError."""
    if block_s is not None and not 0.001 <= block_s <= 1.0:
        raise ValueError(f"block_s must be 0.001 to 1.0 seconds, got {block_s}")
    match latency:
        case None if LINUX:
            block_s = block_s or BLOCK_S
            return BLOCKS_OF_LATENCY * block_s, block_s
        case "low" | None:
            return "low", block_s or LOW_BLOCK_S
        case "safe":
            return (3 * BLOCK_S if LINUX else "high"), block_s or BLOCK_S
        case int() if not isinstance(latency, bool) and 5 <= latency <= 2000:
            third = latency / 1000 / BLOCKS_OF_LATENCY
            return latency / 1000, block_s or min(BLOCK_S, max(LEAST_BLOCK_S, third))
    raise ValueError(f"latency must be 'low', 'safe' or 5 to 2000 milliseconds, got {latency!r}")
