"""realtime_voice: a `Session` with a virtual sound card, and one that is pulled; both run the device's callback."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import realtime_voice
from realtime_voice import _socket
from realtime_voice.audio import PushAudioIO, VirtualAudioIO
from world import BLOCK, BLOCK_MS, CYCLE_S, RATE, SILENCE, Socket, until

if TYPE_CHECKING:
    from collections.abc import Callable


class _Alarm:
    def __init__(self, time: float, ring: Callable[[], object]) -> None:
        self.time = time
        self.ring = ring

    def cancel(self) -> None:
        self.ring = lambda: None


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[tuple[float, asyncio.Future[None]]] = []
        self._alarms: list[_Alarm] = []

    def time(self) -> float:
        return self._now

    async def sleep_until(self, time: float) -> None:
        if time <= self._now + 1e-9:  # sums of hops
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._due.append((time, waiter))
        await waiter

    def call_at(self, time: float, callback: Callable[[], object]) -> _Alarm:
        alarm = _Alarm(time, callback)
        self._alarms.append(alarm)
        self._ring()
        return alarm

    def _ring(self) -> None:
        alarms, self._alarms = self._alarms, []
        for alarm in alarms:
            if alarm.time > self._now + 1e-9:
                self._alarms.append(alarm)
            else:
                asyncio.get_running_loop().call_soon(alarm.ring)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._ring()
        due, self._due = self._due, []
        for time, waiter in due:
            if time > self._now + 1e-9:
                self._due.append((time, waiter))
            elif not waiter.done():
                waiter.set_result(None)


class _Adapter:
    """What a session asks of our socket."""

    unsent_bytes = 0

    def __init__(self, socket: Socket) -> None:
        self.receive, self.send, self.close = socket.recv, socket.send, socket.close
        self._socket = socket
        self.received_bytes = 0

    def listen(self, listener: Callable[[bytes], bool]) -> None:
        self._socket.listener = listener

    def send_now(self, message: bytes) -> bool:
        self._socket.take(message)
        return True

    async def ping(self, answered: Callable[[], object]) -> None:
        self.received_bytes += 1
        answered()


class Client:
    """One session for each way; live, one for both."""

    played_s = 0.0

    def __init__(self) -> None:
        logging.disable(logging.INFO)  # as an application that logs warnings

    async def _open(self, audio: VirtualAudioIO | PushAudioIO, url: str | None) -> realtime_voice.Session:
        session = realtime_voice.connect(api_key="sk-none", base_url=url, audio=audio)
        await session.start()
        return session

    async def _open_on(self, audio: VirtualAudioIO | PushAudioIO, socket: Socket) -> realtime_voice.Session:
        async def connect(*_: object, **__: object) -> _Adapter:
            return _Adapter(socket)

        _socket.connect = connect
        return await self._open(audio, None)

    def _audio(self) -> VirtualAudioIO | PushAudioIO:
        """The live session's."""
        return VirtualAudioIO(rate=RATE, block_s=BLOCK_MS / 1000, heard=self._hear)  # as a sound card's on Linux

    def _hear(self, played: bytes) -> None:
        if played != SILENCE[: len(played)]:
            self.played_s += len(played) / 2 / RATE

    async def start(self, url: str | None = None) -> None:
        if url is not None:
            self._live = self._audio()
            self._sessions = [await self._open(self._live, url)]
            return
        self._clock = Clock()
        self._microphone = VirtualAudioIO(rate=RATE, clock=self._clock, quiet_chunk_ms=BLOCK_MS)
        self._speaker = PushAudioIO(rate=RATE, quiet_chunk_ms=BLOCK_MS)
        self._sockets = Socket(), Socket()
        self._sessions = [
            await self._open_on(self._microphone, self._sockets[0]),
            await self._open_on(self._speaker, self._sockets[1]),
        ]

    async def up(self, blocks: list[bytes]) -> int:
        socket, before = self._sockets[0], self._sockets[0].appended
        self._microphone.say(b"".join(blocks), RATE)
        for _ in blocks:
            sent = socket.next_append()
            self._clock.advance(BLOCK_MS / 1000)
            await sent
        return socket.appended - before

    async def down(self, messages: list[bytes], seconds: int) -> int:
        self._sockets[1].hand(messages)
        ring = self._speaker.duplex.playout
        before = ring.tail
        await until(lambda: ring.head - before >= seconds * RATE)
        return sum(len(self._speaker.pull(BLOCK)) for _ in range(seconds * 1000 // BLOCK_MS))

    async def converse(self, heard: bytes, begin: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(begin - loop.time())
        while True:  # one cycle ahead of what the microphone hears
            self._live.say(heard, RATE)
            begin += CYCLE_S
            await asyncio.sleep(begin - CYCLE_S / 2 - loop.time())

    async def stop(self) -> None:
        for session in self._sessions:
            await session.stop()
