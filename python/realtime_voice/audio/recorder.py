"""A recording of the conversation: what the microphone heard and what the speaker played."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from realtime_voice.audio.wav import WavWriter

if TYPE_CHECKING:
    from realtime_core.ring import Ring

BATCH: Final = 48000


class Recorder:
    """Stereo WAV on the device's own time axis: the user left, the agent right.

    It reads the duplex's tap, so both sides are aligned by construction. Raises AudioFileError
    when the file cannot be created or written.
    """

    def __init__(self, path: str | Path, rate: int) -> None:
        self._writer = WavWriter(path, rate, channels=2)

    def drain(self, tap: "Ring") -> None:
        """Write what the tap holds."""
        while tap.readable:
            self._writer.write(tap.read(BATCH))

    def close(self) -> None:
        """Finish the file; more calls do nothing."""
        self._writer.close()
