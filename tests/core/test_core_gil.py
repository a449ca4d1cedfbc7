"""Short calls keep the GIL, calls that last let other threads run."""

import sys
import threading

import pytest

from realtime_core import DeltaDecoder, Resampler, Ring, append_message, base64, g711

LONG = bytes(1 << 23)
CALLS = {
    "encode": (base64.encode, bytes(960), LONG),
    "decode": (base64.decode, b"A" * 1280, b"A" * (1 << 23)),
    "append": (append_message, bytes(960), LONG),
    "ulaw": (g711.encode_ulaw, bytes(960), LONG),
    "from ulaw": (g711.decode_ulaw, bytes(160), LONG),
    "from phone": (lambda codes: g711.Decoder("ulaw").process(codes), bytes(160), bytes(1 << 20)),
    "resample": (lambda pcm: Resampler(48000, 24000).process(pcm), bytes(1920), bytes(1 << 20)),
    "delta": (lambda text: DeltaDecoder(Ring(16), 24000).feed_audio(text), b"A" * 1280, b"A" * (1 << 23)),
    "to phone": (lambda pcm: g711.Encoder("ulaw").process(pcm), bytes(960), bytes(1 << 20)),
}


@pytest.fixture
def other_thread():
    """A thread that has something to do and needs the GIL for it, which nobody takes away from this one."""
    before, ran, go = sys.getswitchinterval(), [], threading.Lock()
    go.acquire()
    thread = threading.Thread(target=lambda: (go.acquire(), ran.append(True)))
    sys.setswitchinterval(1000)
    thread.start()  # returns when the thread waits for `go`: it has the GIL until then
    yield go, ran
    sys.setswitchinterval(before)
    thread.join(timeout=10)


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL to keep")
@pytest.mark.parametrize("name", CALLS)
def test_the_gil_is_kept_for_short_calls_and_released_for_long_ones(other_thread, name):
    call, short, long = CALLS[name]
    go, ran = other_thread
    go.release()
    for _ in range(200):
        call(short)
    kept = not ran
    for _ in range(1000):  # the system may be slow to wake the other thread
        call(long)
        if ran:
            break
    assert kept
    assert ran
