"""An open speaker, ten seconds at 48 kHz in 10 ms pieces: what the callback checks, and what takes the echo out.

They are no rivals: the check gives a probability, echo control gives audio.
"""

import numpy as np
import pytest

from realtime_core import EchoCheck

RATE, HOP = 48000, 480
RANDOM = np.random.default_rng(0)
PLAYED = np.clip(np.cumsum(RANDOM.normal(size=10 * RATE) * 300) % 8000 - 4000, -32768, 32767).astype(np.int16)
CAPTURED = (
    np.concatenate([np.zeros(4800, np.int16), PLAYED[:-4800]]) // 3 + RANDOM.integers(-20, 20, 10 * RATE)
).astype(np.int16)
HOPS = [(CAPTURED[at : at + HOP], PLAYED[at : at + HOP]) for at in range(0, 10 * RATE, HOP)]


def ours_check():
    check = EchoCheck(RATE)
    return lambda: [check.process(captured, played) for captured, played in HOPS]


def ours_control():
    pytest.importorskip("pywebrtc_audio")
    from realtime_voice.audio.echo import WebrtcEchoControl

    control = WebrtcEchoControl(RATE)
    pairs = [np.stack(hop, 1).tobytes() for hop in HOPS]
    return lambda: [control.process(hop) for hop in pairs]


def pywebrtc_audio():
    processor = pytest.importorskip("pywebrtc_audio").AudioProcessor(sample_rate=RATE, echo_cancellation=True)
    return lambda: [processor.process(captured, played) for captured, played in HOPS]


def livekit():
    rtc = pytest.importorskip("livekit.rtc")
    module = rtc.AudioProcessingModule(echo_cancellation=True)
    frames = [[rtc.AudioFrame(side.tobytes(), RATE, 1, HOP) for side in hop] for hop in HOPS]

    def run():
        for captured, played in frames:
            module.process_reverse_stream(played)
            module.process_stream(captured)

    return run


@pytest.mark.benchmark(group="echo, ten seconds in 10 ms pieces")
@pytest.mark.parametrize("make", [ours_check, ours_control, pywebrtc_audio, livekit], ids=lambda make: make.__name__)
def bench_echo(benchmark, make):
    benchmark(make())
