"""`realtime talk` with microphone and speaker in a real terminal: meters that move, and keys that do what they say."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios

import pytest
from realtime_voice.audio import WavWriter
from realtime_voice.server import Heard, serve
from virtual_card import WIRE, sine, speaking, until

pytestmark = [pytest.mark.card, pytest.mark.usefixtures("card")]

COLUMNS = 120
METER = re.compile(r"you (\S{8})  agent (\S{8})")


class Ears:
    """Nobody speaks here."""

    def listen(self, _tools):
        return self

    def accept(self, pcm):
        pass

    async def finish(self):
        return Heard("hello")

    def cancel(self):
        pass


class Terminal:
    """A command in a terminal of its own: keys in, the screen out."""

    def __init__(self, *command):
        self._command = command
        self.shown = ""

    async def __aenter__(self):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_):
        asyncio.get_running_loop().remove_reader(self._master)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        os.close(self._master)

    def _read(self):
        try:
            self.shown += os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # the other end has gone
            asyncio.get_running_loop().remove_reader(self._master)

    def press(self, key):
        os.write(self._master, key.encode())

    @property
    def line(self):
        """The last line, as it stands."""
        return self.shown.rpartition("\r\x1b[2K")[2].rpartition("\n")[2]

    async def until(self, words):
        await until(lambda: words in self.line or self.process.returncode is not None)
        assert words in self.line, self.shown[-2000:]

    async def pressed(self, key, words):
        self.press(key)
        await self.until(words)


async def test_meters_and_keys(tmp_path):
    with WavWriter(tmp_path / "hum.wav", WIRE.rate) as file:
        file.write(sine(300, 5.0))
    async with (
        serve(recognizer=Ears()) as server,
        Terminal(
            sys.executable,
            "-m",
            "realtime_voice",
            "talk",
            "--agent",
            "session",
            "--url",
            server.url,
            "--latency",
            "low",
        ) as terminal,
    ):
        await terminal.until("100 % [m]ute [p]ush-to-talk [+-] [q]uit")
        assert METER.search(terminal.line).groups() == ("········", "········")
        with speaking(tmp_path / "hum.wav"):
            await until(lambda: (shown := METER.search(terminal.line)) and shown[1].startswith("▁▂▃▄▅"))
        await terminal.pressed("-", "90 %")
        await terminal.pressed("+", "100 %")
        await terminal.pressed("m", "MUTED [m]")
        await terminal.pressed("m", "[m]ute")
        await terminal.pressed("p", "[space] to talk")
        await terminal.pressed(" ", "TALKING")
        await terminal.pressed(" ", "[space] to talk")
        await terminal.pressed("p", "100 % [m]ute")
        terminal.press("q")
        assert await asyncio.wait_for(terminal.process.wait(), 20.0) == 0
    assert "usage:" in terminal.shown
