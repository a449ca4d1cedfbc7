"""Both sides of the virtual sound card: what it received, what is spoken into it, and loads on the interpreter."""

import asyncio
import base64
import contextlib
import ctypes
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from realtime_voice.audio import BargeIn, DeviceAudioIO, Heard, Wire
from realtime_voice.audio.barge_in import BargeInOptions, settle

SCRIPT = Path(__file__).parents[1] / "virtual_soundcard.sh"
RATE = 48000
"""Of what is recorded from the card."""
WIRE = Wire()
PATIENCE_S = 20.0
SETTLE_S = 0.5
"""After this the device's delay has been measured."""
SILENCE = 8
"""Samples up to this are silence: a resampler's last bits."""
LEAST_GAP = RATE // 1000


def sine(hertz: float, seconds: float, *, rate: int = WIRE.rate, peak: float = 0.5) -> bytes:
    phase = 2 * np.pi * hertz / rate * np.arange(round(rate * seconds))
    return (32767 * peak * np.sin(phase)).astype("<i2").tobytes()


async def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait for something that must happen; the bound is against hanging, not a measure."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a condition over another process
            await asyncio.sleep(0.005)


class Recording:
    """What a source of the card delivers while the context lasts, mono at 48 kHz, and when."""

    def __init__(self, source: str = "speaker.monitor") -> None:
        self._source = source
        self._start = float("inf")

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        command = f"parec -d {self._source} --raw --format=s16le --rate={RATE} --channels=1 --latency-msec=10"
        self._parec = subprocess.Popen(command.split(), stdout=self._file)
        deadline = time.monotonic() + PATIENCE_S
        while self.look() == 0:  # before that the beginning would be missed
            assert time.monotonic() < deadline, f"nothing comes from {self._source}"
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._parec.terminate()
        self._parec.wait()
        self._file.close()

    def look(self) -> int:
        """Count the samples so far, and learn from the moment when sample 0 was: the more looks, the better."""
        count = os.fstat(self._file.fileno()).st_size // 2
        if count:
            self._start = min(self._start, time.monotonic() - count / RATE)
        return count

    def samples(self, first: int = 0) -> np.ndarray:
        return np.frombuffer(os.pread(self._file.fileno(), 2 * (self.look() - first), 2 * first), "<i2")

    def time(self, sample: int) -> float:
        """Seconds of the monotonic clock when a sample came. The card's clock is the system's, so one line fits all."""
        return self._start + sample / RATE

    async def silence(self, ms: int = 300) -> None:
        """Wait until the last so many milliseconds were silent."""
        await until(lambda: sounding(self.samples(max(0, self.look() - RATE * ms // 1000))) is None)


def sounding(samples: np.ndarray) -> slice | None:
    """From the first sample that is no silence to the last; None without any."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > SILENCE)
    return slice(int(loud[0]), int(loud[-1]) + 1) if len(loud) else None


def sink_lead_ms() -> float:
    """Ask PulseAudio for the length that its sink takes at once."""
    sinks = subprocess.run(["pactl", "list", "sinks"], check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"configured (\d+) usec", sinks)[0]) / 1e3


class Gaps(NamedTuple):
    """Silence inside a sound."""

    count: int
    ms: float


def gaps(samples: np.ndarray) -> Gaps:
    """Find silences of more than a millisecond between the first sound and the last."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > SILENCE)
    silent = np.diff(loud) - 1
    silent = silent[silent > LEAST_GAP]
    return Gaps(len(silent), float(silent.sum()) * 1000 / RATE)


def frequency(samples: np.ndarray, rate: int = RATE) -> float:
    """Of the strongest tone, hertz: the spectrum's peak and the parabola through it."""
    spectrum = np.log(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) + 1e-9)
    peak = int(spectrum[1:-1].argmax()) + 1
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return (peak + (left - right) / (2 * (left - 2 * middle + right))) * rate / len(samples)


@contextlib.contextmanager
def speaking(wav: Path) -> Iterator[None]:
    """Speak a WAV file into the card's microphone meanwhile."""
    with subprocess.Popen(["paplay", "-d", "micfeed", wav]) as process:
        yield
        assert process.wait(PATIENCE_S) == 0


@contextlib.contextmanager
def urgent_threads() -> Iterator[None]:
    """Give threads that begin meanwhile real-time priority, where this user may: a busy machine makes no gaps then."""
    tasks = Path("/proc/self/task")
    before = {task.name for task in tasks.iterdir()}
    yield
    for task in tasks.iterdir():
        if task.name not in before:
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(2))


@contextlib.contextmanager
def repeated(work: Callable[[], object], *, threads: int = 1, pause: float = 0.0) -> Iterator[None]:
    """Have threads do the same again and again."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(pause) if pause else not stop.is_set():
            work()

    running = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()


def hold_interpreter(seconds: float) -> None:
    """Sleep in C with the interpreter's lock held: nothing in Python runs, and the processor is idle."""
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))


class Tone(NamedTuple):
    """What became of a tone that was played through the card."""

    gaps: Gaps
    underflows: int
    """Times that PortAudio said its buffer had run empty."""
    latency_s: float
    """Of the device."""


class NativePlayer:
    """The package's own callback."""

    def __init__(self, block_s: float) -> None:
        self._audio = DeviceAudioIO(latency="low", block_s=block_s, echo_control=None)

    async def start(self) -> None:
        await self._audio.start(WIRE, WIRE)

    def play(self, pcm: bytes) -> None:
        self._audio.playout.feed_audio("tone", base64.b64encode(pcm).decode())
        self._audio.playout.end_item("tone")

    @property
    def done(self) -> bool:
        return self._audio.duplex.played == self._audio.duplex.playout.head

    @property
    def underflows(self) -> int:
        return int(self._audio.duplex.stats()["device_underflows"])

    @property
    def latency_s(self) -> float:
        return self._audio.playout.latency_s

    async def stop(self) -> None:
        await self._audio.stop()


class PythonCallback:
    """The plainest callback that Python can have: a slice of what is to be played."""

    def __init__(self) -> None:
        self._pcm = b""
        self._at = 0
        self.underflows = 0

    def play(self, pcm: bytes) -> None:
        self._at, self._pcm = 0, pcm

    @property
    def done(self) -> bool:
        return self._at >= len(self._pcm)

    def take(self, size: int, underflow: object) -> bytes:
        self.underflows += bool(underflow)
        block = self._pcm[self._at : self._at + size]
        self._at += size
        return block.ljust(size, b"\0")


class SounddevicePlayer(PythonCallback):
    """sounddevice's stream of bytes with a callback in Python."""

    def __init__(self, block_s: float) -> None:
        import sounddevice  # here, so that a machine without PortAudio can say so

        super().__init__()
        self._stream = sounddevice.RawOutputStream(
            samplerate=WIRE.rate, blocksize=round(WIRE.rate * block_s), channels=1, dtype="int16",
            latency="low", callback=self._callback,
        )  # fmt: skip

    def _callback(self, out: Any, frames: int, _time: Any, status: Any) -> None:
        out[:] = self.take(2 * frames, status.output_underflow)

    @property
    def latency_s(self) -> float:
        return float(self._stream.latency)

    async def start(self) -> None:
        self._stream.start()

    async def stop(self) -> None:
        self._stream.close()


async def play_tone(
    player: Any, seconds: float, load: contextlib.AbstractContextManager[None], *, urgent: bool = True
) -> Tone:
    """Play a tone that is queued in full, under a load, and find the gaps in what the card received."""
    with Recording() as recording:
        with urgent_threads() if urgent else contextlib.nullcontext():
            await player.start()
        try:
            await asyncio.sleep(SETTLE_S)
            with load:
                player.play(sine(440, seconds))
                with contextlib.suppress(TimeoutError):  # who plays mostly silence is not waited for
                    await until(lambda: player.done, 2 * seconds + 2)
            await asyncio.sleep(2 * player.latency_s)
            await recording.silence(100)
            found = Tone(gaps(recording.samples()), player.underflows, player.latency_s)
        finally:
            await player.stop()
    return found


class Interrupted(NamedTuple):
    """What became of speech over a tone."""

    took_s: float
    """From the first sound at the microphone to the last at the speaker."""
    bound_s: float
    """Confirm time, the device's latency both ways, a block and 10 ms."""
    decided_ms: float
    """From the speech, as the detector saw it begin, to the cut in the callback."""
    starved: int
    """Blocks that PortAudio says it had to do without."""
    heard: Heard


async def barge_in(
    speech: Path, *, hold_s: float, block_s: float = 0.02, headset: bool = True, **options: Any
) -> Interrupted:
    """Speak over a tone while Python stands still for `hold_s` seconds from the moment speech is heard.

    Without a headset the callback's echo check listens too.
    """
    rule: BargeInOptions = {"barge_in": "local", "headset": headset}
    with Recording() as recording, Recording("mic") as microphone:
        audio = DeviceAudioIO(block_s=block_s, echo_control=None, **rule, **options)
        with urgent_threads():
            await audio.start(WIRE, WIRE)
        await asyncio.sleep(SETTLE_S)
        try:
            audio.playout.feed_audio("tone", base64.b64encode(sine(500, 20.0, peak=0.3)).decode())
            await until(lambda: audio.playout.played_ms("tone") > 1000)
            with speaking(speech):
                await until(lambda: sounding(microphone.samples()) is not None)
                hold_interpreter(hold_s)
                microphone.look()
                recording.look()
                await until(lambda: not audio.playing)
            latency_s = audio.playout.latency_s + audio._input_latency_s
            (cut,) = [event for event in audio.events() if isinstance(event, BargeIn) and event.action == "cut"]
            stats = audio.duplex.stats()
        finally:
            await audio.stop()
        await recording.silence()
        spoken = microphone.time(sounding(microphone.samples()).start)
        silent = recording.time(sounding(recording.samples()).stop)
    return Interrupted(
        silent - spoken,
        settle(rule, echo_controlled=False).confirm_ms / 1000 + latency_s + block_s + 0.01,
        1000 * cut.after_s,
        int(stats["device_underflows"] + stats["device_overflows"]),
        cut.heard[0],
    )
