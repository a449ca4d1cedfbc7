"""What was said in a WAV file, by the local ears; for checks of recordings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from realtime_core.vad import Vad
from realtime_voice.audio.wav import read_wav
from realtime_voice.server import grammar, numerals
from realtime_voice.server.ears import Ears
from realtime_voice.server.interfaces import HEARING_RATE

SEGMENT_SILENCE_MS = 400
"""Silence that separates two stretches of speech."""
PADDING_MS = 300
_HOP_BYTES = 2 * HEARING_RATE // 100


def recognize_file(path: str | Path, tools: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Return what the ears understand of each stretch of speech in a WAV file, as a session with `tools` would.

    "" stands for a stretch that is not understood. Blocks for about a fifth of the recording's length.

    Raises:
        AudioFileError: the file cannot be read; it names the file and the reason.
        ImportError: pocketsphinx is missing; it names the extra to install.

    """
    ears = Ears()
    return [_heard(ears.start(tools), pcm) for pcm in _speech(path)]


def recognize_numbers(path: str | Path) -> list[int]:
    """Return the whole numbers spoken in a WAV file, in order: "twelve times seven is eighty four" gives 12, 7, 84.

    Blocks for about a fifth of the recording's length. Raises like `recognize_file`.
    """
    ears = Ears(reject=False)
    texts = [_heard(ears.start_grammar(grammar.numbers_jsgf()), pcm) for pcm in _speech(path)]
    return [number for text in texts for number in numerals.numbers_in(text)]


def _heard(ears: Ears, pcm: bytes) -> str:
    padding = bytes(PADDING_MS // 10 * _HOP_BYTES)
    ears.accept(padding + pcm + padding)
    return ears.finish().text


def _speech(path: str | Path) -> Iterator[bytes]:
    """Yield the stretches of speech in a WAV file as 16 kHz PCM."""
    pcm, _ = read_wav(path, HEARING_RATE)
    probabilities = Vad(HEARING_RATE).process(pcm)
    hops = SEGMENT_SILENCE_MS // 10
    first: int | None = None
    last = 0
    for index, probability in enumerate([*probabilities, *[0.0] * (hops + 1)]):
        if probability > 0.5:
            first = index if first is None else first
            last = index
        elif first is not None and index - last > hops:
            start = max(0, first - PADDING_MS // 10)
            yield pcm[start * _HOP_BYTES : (last + PADDING_MS // 10) * _HOP_BYTES]
            first = None
