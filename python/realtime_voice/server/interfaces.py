"""What the server needs from ears, voice and mind, as small protocols; anything of the same shape may take their place.

Audio in these interfaces is little-endian signed 16-bit PCM, mono, as bytes.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from realtime_voice.events import Item

Json = Mapping[str, Any]
"""A JSON object as decoded from the wire."""

HEARING_RATE = 16_000
"""Hz of the audio a recognizer gets."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of one turn: the text ("" when nothing was) and whether it was rejected as unintelligible."""

    text: str
    rejected: bool = False


class Hearing(Protocol):
    """One turn being listened to."""

    def accept(self, pcm: bytes) -> None:
        """Take the next audio (16 kHz); returns at once."""

    async def partial(self) -> str:
        """Return what has been heard so far. Raises RecognitionError when the recognizer failed."""

    async def finish(self) -> Heard:
        """End the turn and return what was heard. Raises RecognitionError when the recognizer failed."""

    def cancel(self) -> None:
        """Forget the turn. No-op when it has finished."""


class Recognizer(Protocol):
    """Ears: speech to text, streaming."""

    def listen(self, tools: Sequence[Json]) -> Hearing:
        """Begin a turn. `tools` are the session's, so that what they need to hear can be expected."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Spoken text: PCM at the rate asked for, and the words the voice could not speak."""

    pcm: bytes
    unspoken: tuple[str, ...] = ()


class Synthesizer(Protocol):
    """Voice: text to speech, one sentence at a time."""

    async def speak(self, text: str, *, rate: int, voice: str, speed: float) -> Speech:
        """Return `text` as PCM at `rate` Hz. Raises SynthesisError when the synthesizer failed."""


@dataclass(frozen=True, slots=True)
class Say:
    """Say one sentence (or write it, in a text response)."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call one of the session's functions."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response as failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a while, as a mind that thinks."""

    seconds: float


Step = Say | Call | Wait | Fail


@dataclass(frozen=True, slots=True)
class Context:
    """What a brain decides from: the conversation's items (with transcripts) and the settings of the response."""

    items: Sequence[Item]
    tools: Sequence[Json]
    tool_choice: str | Json
    instructions: str
    modality: str


class Brain(Protocol):
    """Mind: what to say and which functions to call."""

    def respond(self, context: Context) -> AsyncGenerator[Step]:
        """Yield what the response consists of, in order; closed early when the response is interrupted."""


class RecognitionError(Exception):
    """The recognizer could not do its work."""


class SynthesisError(Exception):
    """The synthesizer could not do its work."""
