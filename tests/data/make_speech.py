# a script, not a module
"""Make the speech that comes with the package, once, with Debian's flite: the demo's sentences and the word bank.

    python tests/data/make_speech.py

It writes python/realtime_voice/data/speech/*.wav (16 kHz PCM16) and python/realtime_voice/data/words/words.{ulaw,txt}
(16 kHz mu-law; one line `word first_sample sample_count` each).
"""

import subprocess
import tempfile
import wave
from array import array
from pathlib import Path

from realtime_voice.server import numerals

from realtime_core import g711

DATA = Path(__file__).parents[2] / "python" / "realtime_voice" / "data"
SENTENCES = (
    "what is twelve times seven",
    "count to thirty",
    "what is twenty plus five",
    "stop conversation",
)
WORDS = (
    *numerals.UNITS, *numerals.TEENS, *numerals.TENS, "hundred", "thousand", "million", "billion", "point", "oh",
    "plus", "minus", "times", "divided", "by", "percent", "of", "the", "square", "root", "to", "power", "is", "equals",
    "i", "heard", "it", "hello", "goodbye", "sorry", "did", "not", "understand", "that", "yes", "no", "done",
    "you", "are", "welcome", "o'clock", "a", "m", "p",
)  # fmt: skip
USER_VOICE = "rms"
BANK_VOICE = "slt"
FLOOR = 300
"""Samples below this at either end of a word are silence."""
MARGIN = 320


def speak(text: str, voice: str) -> tuple[bytes, int]:
    """Return PCM16 mono and its rate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True, timeout=60)
        with wave.open(str(path)) as speech:
            return speech.readframes(speech.getnframes()), speech.getframerate()


def trimmed(pcm: bytes) -> bytes:
    """Return `pcm` without the silence at its ends."""
    samples = array("h", pcm)
    loud = [index for index, sample in enumerate(samples) if abs(sample) > FLOOR]
    return samples[max(0, loud[0] - MARGIN) : loud[-1] + MARGIN].tobytes()


def make_sentences(folder: Path) -> None:
    """Write one WAV for each of the demo's sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    for sentence in SENTENCES:
        pcm, rate = speak(sentence, USER_VOICE)
        with wave.open(str(folder / f"{sentence.replace(' ', '_')}.wav"), "wb") as recording:
            recording.setnchannels(1)
            recording.setsampwidth(2)
            recording.setframerate(rate)
            recording.writeframes(trimmed(pcm))


def make_words(folder: Path) -> None:
    """Write the word bank and its index."""
    folder.mkdir(parents=True, exist_ok=True)
    bank = bytearray()
    index = []
    for word in WORDS:
        pcm = trimmed(speak("eigh" if word == "a" else word, BANK_VOICE)[0])
        index.append(f"{word} {len(bank)} {len(pcm) // 2}\n")
        bank += g711.encode_ulaw(pcm)
    (folder / "words.ulaw").write_bytes(bank)
    (folder / "words.txt").write_text("".join(index), encoding="utf-8")


if __name__ == "__main__":
    make_sentences(DATA / "speech")
    make_words(DATA / "words")
