"""What one client or one long turn may take: turns, sentences, audio that waits."""

import pytest
from realtime_voice.server import turns


class _AlwaysSpeech:
    def process(self, pcm: bytes, /) -> list[float]:
        return [1.0] * (len(pcm) // 320)


def test_turn_without_a_pause_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_TURN_MS", 2_000)
    buffer = turns.InputBuffer(_AlwaysSpeech)
    buffer.configure("audio/pcm", {"type": "server_vad", "silence_duration_ms": 500, "prefix_padding_ms": 0})
    stopped = []
    for happening in buffer.append(bytes(48 * 5_000)):
        if isinstance(happening, turns.Stopped):
            stopped.append(happening.ms)
            buffer.commit()
    assert stopped == [2_000, 4_000]
