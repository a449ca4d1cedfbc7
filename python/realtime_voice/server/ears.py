"""Ears on pocketsphinx: a JSGF grammar decides what can be heard, a phone decoder whether it was said at all.

Runs in the speech worker. pocketsphinx is imported lazily; its absence names the extra to install.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from realtime_voice.server import grammar
from realtime_voice.server.interfaces import Heard

REJECT_ABOVE = 0.45
"""Phone edit distance, as a share of the longer side, above which what the grammar heard was not what was said."""
REJECT_SHORT_ABOVE = 0.55
SHORT = 9
"""Phones up to which the second limit holds."""
KEPT_GRAMMARS = 16
"""Grammars compiled per decoder; sessions with the same tools share one."""
CEPSTRAL_MEAN = "43.5,2.2,2.1,4.0,0.5,0.4,1.8,-2.6,-1.9,-0.8,2.4,0.4,1.0"
"""Cepstral mean of clear speech at a usual level: what a turn is normalised by until its own sound is known."""
_NOISE = frozenset({"SIL", "+NSN+", "+SPN+"})
_VOWELS = frozenset({"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"})


class Ears:
    """One recognizer for one turn at a time; reusable. Not thread-safe. Audio is 16 kHz PCM16 mono.

    With `reject` False whatever fits the grammar best is what was heard.
    """

    def __init__(self, *, reject: bool = True) -> None:
        self._reject = reject
        try:
            from pocketsphinx import Config, Decoder, get_model_path  # type: ignore[import-untyped]
        except ImportError as error:
            raise ImportError('speech recognition needs pocketsphinx: pip install "realtime-core[local]"') from error
        self._words = Decoder(Config(lm=None, bestpath=False, loglevel="FATAL"))
        self._phones = Decoder(
            Config(
                lm=None,
                allphone=get_model_path("en-us/en-us-phone.lm.bin"),
                allphone_ci=True,
                beam=1e-20,
                pbeam=1e-10,
                lw=2.0,
                loglevel="FATAL",
            )
        )
        self._grammars: dict[str, str] = {}
        self._searches = 0

    def knows(self, word: str) -> bool:
        """Whether the pronunciation dictionary has `word`."""
        return self._words.lookup_word(word) is not None

    def start(self, tools: Sequence[Mapping[str, Any]]) -> Self:
        """Begin a turn with the grammar for a session with `tools`."""
        return self.start_grammar(grammar.jsgf(tools, self.knows))

    def start_grammar(self, jsgf: str) -> Self:
        """Begin a turn with a given grammar. Raises ValueError when it is not valid JSGF."""
        if jsgf not in self._grammars:
            if len(self._grammars) >= KEPT_GRAMMARS:
                oldest = next(iter(self._grammars))
                self._words.remove_search(self._grammars.pop(oldest))
            self._searches += 1
            name = f"grammar{self._searches}"
            self._words.add_jsgf_string(name, jsgf)
            self._grammars[jsgf] = name
        self._words.activate_search(self._grammars[jsgf])
        for decoder in (self._words, self._phones):
            decoder.set_cmn(CEPSTRAL_MEAN)  # else a turn would be heard by the sound of the turn before
            decoder.start_utt()
        return self

    def accept(self, pcm: bytes) -> None:
        """Decode the next audio: costs about a tenth of its duration."""
        self._words.process_raw(pcm)
        self._phones.process_raw(pcm)

    def partial(self) -> str:
        """Return what has been heard so far, not yet judged."""
        return str(hypothesis.hypstr) if (hypothesis := self._words.hyp()) else ""

    def finish(self) -> Heard:
        """End the turn; the text is "" when nothing was heard, `rejected` when it does not sound like what was said."""
        self._words.end_utt()
        self._phones.end_utt()
        text = hypothesis.hypstr if (hypothesis := self._words.hyp()) else ""
        sounds = [sound for word in _segments(self._words) for sound in self._pronunciation(word)]
        said = [sound for sound in _segments(self._phones) if sound not in _NOISE]
        if not text or (self._reject and phone_distance(sounds, said) > _limit(sounds)):
            return Heard("", rejected=len(said) > 1)
        return Heard(text)

    def cancel(self) -> None:
        """End the turn without asking what was heard."""
        self._words.end_utt()
        self._phones.end_utt()

    def _pronunciation(self, word: str) -> list[str]:
        return (self._words.lookup_word(word) or "").split()


def phone_distance(expected: Sequence[str], said: Sequence[str]) -> float:
    """Return the edit distance of two phone sequences as a share of the longer one, 0 to 1.

    A swap of two vowels or of two consonants counts half.
    """
    row = [float(index) for index in range(len(said) + 1)]
    for count, left in enumerate(expected, 1):
        above, row = row, [float(count)]
        for index, right in enumerate(said):
            swap = 0.0 if left == right else 0.5 if (left in _VOWELS) == (right in _VOWELS) else 1.0
            row.append(min(above[index + 1] + 1, row[index] + 1, above[index] + swap))
    return row[-1] / max(len(expected), len(said), 1)


def _limit(sounds: Sequence[str]) -> float:
    """Return the distance allowed: a short word ("hello") has too few phones to be judged as sharply."""
    return REJECT_ABOVE if len(sounds) > SHORT else REJECT_SHORT_ABOVE


def _segments(decoder: Any) -> Iterable[str]:
    """Return the words (or phones) of the best path, without sentence and silence marks."""
    return [segment.word for segment in decoder.seg() or () if segment.word[0] not in "<[("]
