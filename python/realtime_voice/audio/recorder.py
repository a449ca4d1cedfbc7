"""A recording of the conversation: what the microphone heard and what the speaker played."""

from pathlib import Path

from realtime_voice.audio.wav import WavWriter


class Recorder:
    """Stereo WAV on the device's own time axis: the user left, the agent right.

    It is given the pairs of the duplex's tap, so both sides are aligned by construction. Raises AudioFileError
    when the file cannot be created or written.
    """

    def __init__(self, path: str | Path, rate: int) -> None:
        self._writer = WavWriter(path, rate, channels=2)

    def write(self, pairs: bytes) -> None:
        """Write (captured, played) pairs."""
        self._writer.write(pairs)

    def pause(self, frames: int) -> None:
        """Have time pass in which nothing was heard and nothing played."""
        self._writer.write(bytes(4 * frames))

    def close(self) -> None:
        """Finish the file; more calls do nothing."""
        self._writer.close()
