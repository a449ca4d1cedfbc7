"""What breaks the silence while a tool runs: a sentence that the agent says, or a sound of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from realtime_core import base64, g711
from realtime_voice.audio.wav import read_wav

if TYPE_CHECKING:
    from pathlib import Path

    from realtime_voice.audio import Wire
    from realtime_voice.audio.playout import Playout

SOUND_S: Final = 10.0
"""A longer sound is refused: it would keep an answer waiting."""
_ITEM: Final = "filler_"
_ENCODE: Final = {"pcm": bytes, "pcmu": g711.encode_ulaw, "pcma": g711.encode_alaw}


def saying(text: str) -> dict[str, Any]:
    """Return the parameters of a response in which the agent says `text` and nothing else."""
    return {"instructions": f"Say only this, word for word: \u201c{text}\u201d", "tool_choice": "none"}


class Filler:
    """A sentence, or a WAV file that is played as it is.

    Raises AudioFileError for a file that cannot be used, ValueError for one that is too long.
    """

    def __init__(self, what: str | Path, wire: Wire) -> None:
        self.text = what if isinstance(what, str) else ""
        """The sentence; "" for a sound."""
        self._sound = "" if isinstance(what, str) else _sound(what, wire)
        self._played = 0  # how many times
        self._playing: Playout | None = None

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the response, beside the conversation, that says the sentence."""
        instructions = f"Say only this, in the language of the conversation: \u201c{self.text}\u201d"
        return {"conversation": "none", "instructions": instructions, "tool_choice": "none"}

    def play(self, playout: Playout) -> None:
        """Begin to play the sound; the server does not hear of it."""
        self._played += 1
        item_id = f"{_ITEM}{self._played}"
        playout.feed_audio(item_id, self._sound)
        playout.end_item(item_id)
        self._playing = playout

    def is_sound(self, item_id: str) -> bool:
        """Whether that is the sound, which is nobody's word."""
        return bool(self._sound) and item_id.startswith(_ITEM)

    def hush(self) -> None:
        """End the sound, if it still plays: the agent begins to speak."""
        playing, self._playing = self._playing, None
        if playing is not None and playing.active:
            playing.flush()


def _sound(path: Path, wire: Wire) -> str:
    pcm, rate = read_wav(path, wire.rate)
    if len(pcm) > 2 * rate * SOUND_S:
        raise ValueError(f"filler {path} lasts longer than {SOUND_S:g} s")
    return base64.encode(_ENCODE[wire.encoding](pcm)).decode("ascii")
