"""Voices that work offline: espeak-ng where installed, else flite, else a word bank; text in, PCM out.

Runs in the speech worker only: espeak-ng is GPL software that the user installs, loaded here as a separate program's
library and nowhere else. Whoever is missing is skipped; `find_voice` says in its result which one speaks.
"""

import ctypes
import importlib.resources
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from realtime_core import g711
from realtime_voice.server import numerals
from realtime_voice.server.interfaces import Speech

SENTENCE_TIMEOUT_S = 20.0
"""Longest wait for an external voice to speak one sentence."""


class Voice(Protocol):
    """One engine: speaks text as PCM at its own `rate` (Hz)."""

    name: str
    rate: int

    def speak(self, text: str, voice: str, speed: float) -> Speech:
        """Return `text` as PCM16 mono at `rate`. `voice` is the session's name of a voice, `speed` 0.25 to 1.5."""


class EspeakVoice:
    """espeak-ng through the library that the package espeakng-loader brings. Raises ImportError without it."""

    name = "espeak-ng"
    words_per_minute = 165
    variants: Mapping[str, str] = {
        "alloy": "f2",
    }  # fmt: skip
    """Variant of each of OpenAI's voice names; others speak as alloy."""

    _RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: samples go to the callback, no device is opened
    _BUFFER_MS = 200
    _UTF8 = 1
    _RATE_PARAMETER = 1

    def __init__(self) -> None:
        import espeakng_loader  # type: ignore[import-untyped]

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._pcm = bytearray()
        self._callback = callback_type(self._collect)  # kept: the library holds the pointer
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate = self._library.espeak_Initialize(self._RETRIEVAL, self._BUFFER_MS, data, 0)
        if self.rate <= 0:
            raise ImportError("espeak-ng did not start")
        self._library.espeak_SetSynthCallback(self._callback)
        self._variant = ""

    def speak(self, text: str, voice: str, speed: float) -> Speech:
        """Return `text` as PCM16 mono; every word is spoken."""
        variant = self.variants.get(voice, self.variants["alloy"])
        if variant != self._variant:
            self._library.espeak_SetVoiceByName(f"en-us+{variant}".encode())
            self._variant = variant
        self._library.espeak_SetParameter(self._RATE_PARAMETER, round(self.words_per_minute * speed), 0)
        encoded = text.encode()
        self._pcm.clear()
        self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, self._UTF8, None, None)
        self._library.espeak_Synchronize()
        return Speech(bytes(self._pcm))

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._pcm += ctypes.string_at(samples, 2 * count)
        return 0


class FliteVoice:
    """The flite program. Raises ImportError when it is not on the path."""

    name = "flite"
    rate = 16_000
    male = frozenset({"ash", "ballad", "cedar", "echo", "verse"})

    def __init__(self) -> None:
        self._program = shutil.which("flite")
        if self._program is None:
            raise ImportError("flite is not installed")

    def speak(self, text: str, voice: str, speed: float) -> Speech:
        """Return `text` as PCM16 mono; every word is spoken."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "speech.wav")
            subprocess.run(  # noqa: S603  # a fixed program; the text is one argument, no shell
                [
                    str(self._program), "-voice", "rms" if voice in self.male else "slt",
                    "--setf", f"duration_stretch={1 / speed:.3f}", "-t", f" {text}", "-o", str(path),
                ],
                check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=SENTENCE_TIMEOUT_S,
            )  # fmt: skip
            with wave.open(str(path)) as speech:
                return Speech(speech.readframes(speech.getnframes()))


class WordBankVoice:
    """Numbers and short words spoken once and put together; what comes with the package.

    The bank is 16 kHz mu-law beside an index: one line `word first_sample sample_count` each.
    """

    name = "word bank"
    rate = 16_000
    gap_s = 0.04
    pause_s = 0.25

    def __init__(self) -> None:
        data = importlib.resources.files("realtime_voice") / "data" / "words"
        self._pcm = g711.decode_ulaw((data / "words.ulaw").read_bytes())
        index = (data / "words.txt").read_text(encoding="utf-8").splitlines()
        self._spans = {word: (int(first), int(count)) for word, first, count in map(str.split, index)}

    def speak(self, text: str, voice: str, speed: float) -> Speech:  # noqa: ARG002  # one voice, one speed
        """Return what of `text` is in the bank as PCM16 mono, and the words that are not."""
        pcm = bytearray()
        unspoken = []
        for token in numerals.spell_numerals(text).lower().replace("-", " ").split():
            word = "".join(letter for letter in token if letter.isalpha() or letter == "'")
            if word in self._spans:
                first, count = self._spans[word]
                pcm += self._pcm[2 * first : 2 * (first + count)] + self._silence(self.gap_s)
            elif word:
                unspoken.append(word)
            if token[-1] in ",.;:!?":
                pcm += self._silence(self.pause_s)
        return Speech(bytes(pcm), tuple(unspoken))

    def _silence(self, seconds: float) -> bytes:
        return bytes(2 * int(self.rate * seconds))


VOICES: Mapping[str, type[EspeakVoice | FliteVoice | WordBankVoice]] = {
    "espeak": EspeakVoice,
    "flite": FliteVoice,
    "words": WordBankVoice,
}


def find_voice(name: str | None = None) -> Voice:
    """Return the voice called `name` (a key of VOICES), or the first that works.

    Raises:
        ImportError: the named voice is not installed.
        ValueError: no voice has that name.

    """
    if name is not None:
        if name not in VOICES:
            raise ValueError(f"no voice {name!r}: choose one of {', '.join(VOICES)}")
        return VOICES[name]()
    for engine in (EspeakVoice, FliteVoice):
        try:
            return engine()
        except (ImportError, OSError):
            continue
    return WordBankVoice()
