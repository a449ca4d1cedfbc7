"""HTTP and WebSocket on one port with aiohttp: /v1/realtime, /v1/realtime/client_secrets, /health."""

import asyncio
import contextlib
import hmac
import logging
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from realtime_voice import events
from realtime_voice.endpoint import is_loopback, resolve
from realtime_voice.errors import ConnectError, RemoteProtocolError
from realtime_voice.server import certificate, turns
from realtime_voice.server.assistant import Assistant
from realtime_voice.server.configuration import SESSION_LIMIT_S, Configuration, Refused, check_session, refuse_unknown
from realtime_voice.server.connection import DELTA_MS, Connection, Socket
from realtime_voice.server.faults import Faults, FaultySocket
from realtime_voice.server.interfaces import Brain, Recognizer, Synthesizer
from realtime_voice.server.mcp import McpServers
from realtime_voice.server.pacing import Pacer
from realtime_voice.server.pool import SpeechPool
from realtime_voice.server.protocol import ServerProtocol
from realtime_voice.server.recording import Recorder, Recording, WatchedSocket, Watcher
from realtime_voice.server.relay import relay
from realtime_voice.server.replay import PATIENCE_S, Deviation, Replay
from realtime_voice.server.speech import SpeechProcess
from realtime_voice.server.voice import VOICES
from realtime_voice.server.wire import text_frame

if TYPE_CHECKING:
    from aiohttp import web

MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""Largest message of a client: 15 MiB of audio in base64, and room for the rest."""
MAX_SECRETS = 1024
MAX_WORKERS = 64
SECRET_SECONDS = (10, 7200)
DEFAULT_SECRET_SECONDS = 600
MAX_UNSENT_BYTES = 1024 * 1024
"""Events that may wait for a slow client; beyond it nothing is read or produced."""
ROOM_S = 0.01
CLOSE_TIMEOUT_S = 1.0
DRAIN_S = 10.0
"""Longest wait for running responses when the server is told to end."""
POLL_S = 0.05
GOING_DOWN = b"server is going down"
PING_S = 20.0
SUBPROTOCOL = "realtime"
KEY_SUBPROTOCOL = "openai-insecure-api-key."

_log = logging.getLogger("realtime_voice.server")


def new_id(kind: str) -> str:
    """Return a fresh id: kind, underscore, 16 random characters."""
    return f"{kind}_{secrets.token_hex(8)}"


def make_detector() -> turns.SpeechDetector:
    """Return the core's voice activity detector at 16 kHz."""
    from realtime_core.vad import Vad

    return Vad(16_000)


class RealtimeServer:
    """A local Realtime server. `async with serve(...) as server` starts and stops it; `url` is for clients."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        api_key: str | None = None,
        brain: Brain | None = None,
        recognizer: Recognizer | None = None,
        synthesizer: Synthesizer | None = None,
        voice: str | None = None,
        workers: int = 1,
        pace: float = 4.0,
        tls: ssl.SSLContext | bool = False,
        max_sessions: int = 256,
        session_limit_s: float = SESSION_LIMIT_S,
        detector: Callable[[], turns.SpeechDetector] = make_detector,
        faults: Faults | Sequence[Faults] = (),
        record: str | Path | None = None,
        upstream: str | None = None,
        replay: Recording | str | Path | None = None,
        time_scale: float = 1.0,
        patience_s: float = PATIENCE_S,
        watchers: Sequence[Watcher] = (),
        mcp: McpServers | None = None,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            host: address to listen on; anything but a loopback address lets others in.
            port: TCP port, 0 for a free one (see `port` after the start).
            api_key: key that clients must show; None lets everyone in.
            brain: mind; default Assistant.
            recognizer: ears; default pocketsphinx in the speech worker.
            synthesizer: voice; default the best installed one in the speech worker.
            voice: engine of the default voice: "espeak", "flite" or "words"; None for the best that is installed.
            workers: processes for default ears and voice; each hears about ten people speak at once.
            pace: how many times faster than real time audio is sent; 0 sends it at once.
            tls: TLS settings, or True for a certificate made for this run (see `certificate`).
            max_sessions: WebSocket connections at once; further ones are told so and closed.
            session_limit_s: longest session.
            detector: makes the voice activity detector of a session.
            faults: what to do wrong: in every session, or in the first, second, ... of a sequence.
            record: file to keep all sessions in, keys removed.
            upstream: Realtime endpoint to pass sessions on to instead of answering them; its key is OPENAI_API_KEY.
            replay: recorded sessions to play back instead; the n-th connection gets the n-th, then from the front.
            time_scale: of the pauses in `replay`: 1 as recorded, 0 none.
            patience_s: longest wait for what a recording has the client do next.
            watchers: told of every message (see recording.Watcher).
            mcp: scripted MCP servers by the label that sessions name; default those of a scripted brain.

        Raises:
            ValueError: an option is out of range, or a recording is none.
            OSError: a recording cannot be read.

        """
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        if not 0 <= pace <= 1000:
            raise ValueError(f"pace must be from 0 (at once) to 1000 times real time, not {pace}")
        if voice is not None and voice not in VOICES:
            raise ValueError(f"voice must be one of {', '.join(VOICES)}, not {voice!r}")
        if not 1 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers must be from 1 to {MAX_WORKERS}, not {workers}")
        if max_sessions < 1 or session_limit_s <= 0:
            raise ValueError("max_sessions and session_limit_s must be positive")
        if not 0 <= time_scale <= 1000 or patience_s <= 0:
            raise ValueError("time_scale must be from 0 to 1000, patience_s positive")
        if upstream is not None and replay is not None:
            raise ValueError("sessions are either passed on (upstream) or played back (replay)")
        if upstream is not None:
            resolve(base_url=upstream)
        self.host = host
        self.port = port
        self._api_key = api_key
        self._brain = brain or Assistant()
        speaks = upstream is None and replay is None and (recognizer is None or synthesizer is None)
        self._speech = SpeechPool([SpeechProcess(voice) for _ in range(workers)]) if speaks else None
        self._recognizer: Any = recognizer or self._speech
        self._synthesizer: Any = synthesizer or self._speech
        self._pace = pace
        self._tls = tls
        self._context = tls if isinstance(tls, ssl.SSLContext) else None
        self.certificate: bytes | None = None
        """The certificate made for this run (PEM), which clients may be told to trust."""
        self._max_sessions = max_sessions
        self._limit_s = session_limit_s
        self._detector = detector
        self.faults = faults
        """The faults of sessions that begin from now on."""
        self._record = record
        self._upstream = upstream
        self._replay = Recording.load(replay) if isinstance(replay, str | Path) else replay
        self._time_scale = time_scale
        self._patience_s = patience_s
        self.deviations: list[str] = []
        """What clients did otherwise than the recording that is played back."""
        self._watchers = list(watchers)
        self._mcp: McpServers = mcp if mcp is not None else getattr(brain, "mcp", {})
        self._recorder: Recorder | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._connections: dict[web.WebSocketResponse, Connection] = {}
        self._pacer = Pacer()
        self._secrets: dict[str, tuple[float, dict[str, Any]]] = {}
        self.sessions = 0
        """Sessions opened since the start."""

    @property
    def url(self) -> str:
        """WebSocket URL of the server, e.g. ws://127.0.0.1:8765/v1/realtime."""
        return f"{'wss' if self._tls else 'ws'}://{self._address}/v1/realtime"

    @property
    def base_url(self) -> str:
        """HTTP base URL, as OPENAI_BASE_URL wants it."""
        return f"{'https' if self._tls else 'http'}://{self._address}/v1"

    @property
    def voice_name(self) -> str:
        """What speaks: "espeak-ng", "flite", "word bank", or "" for a given synthesizer."""
        return self._speech.voice_name if self._speech is not None else ""

    @property
    def _address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Start ears and voice, then listen.

        Raises:
            ImportError: aiohttp is missing; the message names the extra to install.
            RuntimeError: ears or voice cannot work; the message says why.
            OSError: the port is taken or the address is not this machine's.

        """
        try:
            from aiohttp import web
        except ImportError as error:
            raise ImportError('the local server needs aiohttp: pip install "realtime-core[local]"') from error
        if self._runner is not None:
            raise RuntimeError("the server runs already")
        if self._tls is True and self._context is None:
            self._context, self.certificate = certificate.self_signed(self.host)
        if self._record is not None and self._recorder is None:
            self._recorder = Recorder(self._record)
            self._watchers.append(self._recorder)
        if self._speech is not None:
            await self._speech.start()
        app = web.Application(client_max_size=1024 * 1024)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/v1/realtime", self._realtime),
                web.post("/v1/realtime/client_secrets", self._client_secrets),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT_S)
        try:
            await self._runner.setup()
            self._site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self._context)
            await self._site.start()
        except BaseException:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Let nobody in any more and end every session once its responses are done, at the latest after `timeout_s`.

        What is left open then, `stop` closes.
        """
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._sockets and loop.time() < end:
            idle = [socket for socket in self._sockets if not self._is_busy(socket)]
            await asyncio.gather(*(_close(socket) for socket in idle))
            await asyncio.sleep(POLL_S)

    def _is_busy(self, socket: "web.WebSocketResponse") -> bool:
        connection = self._connections.get(socket)
        return connection is not None and connection.busy

    async def stop(self) -> None:
        """Close all sessions, the port and the speech worker; bounded, idempotent."""
        runner, self._runner, self._site = self._runner, None, None
        await asyncio.gather(*(_close(socket) for socket in self._sockets))
        if runner is not None:
            await runner.cleanup()
        if self._speech is not None:
            await self._speech.stop()
        if self._recorder is not None:
            self._recorder.close()

    # --- HTTP ---

    async def _health(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.json_response({"status": "ok", "sessions": len(self._sockets), "voice": self.voice_name})

    async def _client_secrets(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        try:
            self._check_key(_bearer(request))
            body = msgspec.json.decode(await request.read()) if request.can_read_body else {}
            return web.json_response(self._new_secret(body))
        except (msgspec.DecodeError, RecursionError):
            refused = Refused("The body is not JSON.", "invalid_json")
        except Refused as error:
            refused = error
        details = {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}
        return web.json_response({"error": details}, status=401 if refused.code == "invalid_api_key" else 400)

    def _new_secret(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise Refused("Expected a JSON object.", "invalid_type")
        after = body.get("expires_after") or {}
        seconds = after.get("seconds", DEFAULT_SECRET_SECONDS) if isinstance(after, dict) else None
        low, high = SECRET_SECONDS
        if not isinstance(seconds, int) or not low <= seconds <= high:
            raise Refused(f"Expected seconds from {low} to {high}.", param="expires_after.seconds")
        session = body.get("session") or {"type": "realtime"}
        try:
            update = events.decode_client(msgspec.json.encode({"type": "session.update", "session": session}))
        except RemoteProtocolError as error:
            raise Refused(str(error), error.code, error.param) from None
        refuse_unknown(update)
        change = msgspec.to_builtins(update)["session"]
        check_session(change, "session")
        now = time.time()
        self._secrets = {value: kept for value, kept in self._secrets.items() if kept[0] > now}
        if len(self._secrets) >= MAX_SECRETS:
            raise Refused(f"At most {MAX_SECRETS} client secrets may be open.", "too_many_secrets")
        value = f"ek_{secrets.token_hex(16)}"
        self._secrets[value] = (now + seconds, change)
        model = session.get("model") or "gpt-realtime"
        initial = {key: item for key, item in change.items() if key != "model"}
        effective = Configuration(new_id("sess"), model, 0, initial).effective
        return {"value": value, "expires_at": int(now + seconds), "session": effective}

    def _check_key(self, key: str) -> None:
        shown = key.encode("utf-8", "surrogateescape")  # a header may hold any bytes
        if self._api_key is not None and not hmac.compare_digest(shown, self._api_key.encode()):
            raise Refused("Incorrect API key provided.", "invalid_api_key")

    # --- WebSocket ---

    async def _realtime(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        faults = self._next_faults()
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MAX_MESSAGE_BYTES, heartbeat=PING_S, compress=False,
            timeout=CLOSE_TIMEOUT_S, autoclose=not faults.no_close,
        )  # fmt: skip
        if not socket.can_prepare(request):
            return web.json_response({"error": {"message": "Expected a WebSocket upgrade."}}, status=426)
        if self._api_key is None and not _is_from_here(request):
            return web.json_response(
                {"error": {"message": "Pages of other hosts need a server with a key."}}, status=403
            )
        try:
            await socket.prepare(request)
        except ConnectionError:  # nobody is there to answer
            _log.debug("a client left during the handshake")
            return web.Response()  # the socket is none: aiohttp could not end it
        self._sockets.add(socket)
        try:
            await self._session(request, socket, faults)
        finally:
            self._sockets.discard(socket)
            self._connections.pop(socket, None)
        return socket

    def _next_faults(self) -> Faults:
        if isinstance(self.faults, Faults):
            return self.faults
        return self.faults[self.sessions] if self.sessions < len(self.faults) else Faults()

    async def _session(self, request: "web.Request", socket: "web.WebSocketResponse", faults: Faults) -> None:
        transport: Any = request.transport
        out: Socket = _AiohttpSocket(socket, transport)
        try:
            model, initial = self._admit(request)
        except Refused as refused:
            out.send([_message(refused)])
            code = 3000 if refused.code == "invalid_api_key" else 4000
            await socket.close(code=code, message=f"{refused.kind}.{refused.code}".encode())
            return
        self.sessions += 1
        number = self.sessions
        if self._watchers:
            out = WatchedSocket(out, self._watchers, number)
        if faults != Faults():
            out = FaultySocket(out, faults, transport.abort)
        await asyncio.sleep(faults.start_s)
        limit_s = self._limit_s if faults.expire_s is None else min(self._limit_s, faults.expire_s)
        try:
            async with asyncio.timeout(limit_s):
                if self._upstream is not None:
                    await self._pass_on(socket, out, number, upstream=self._upstream, model=model)
                elif self._replay is not None:
                    await self._play_back(socket, out, number, recording=self._replay)
                else:
                    await self._answer(
                        socket, out, number, model=model, initial=initial, faults=faults, limit_s=limit_s
                    )
        except TimeoutError:
            out.send([_message(Refused("Your session hit the maximum duration of 60 minutes.", "session_expired"))])
            await socket.close(code=1001, message=b"session_expired")
        if faults.no_close:
            await _gone(transport)

    async def _answer(
        self, socket: "web.WebSocketResponse", out: Socket, number: int, *, model: str,
        initial: Mapping[str, Any] | None, faults: Faults, limit_s: float,
    ) -> None:  # fmt: skip
        """Hold a session with the server's own mind."""
        session = ServerProtocol(
            model=model,
            now=time.time(),
            new_id=new_id,
            make_detector=self._detector,
            initial=initial,
            limit_s=limit_s,
            mcp=self._mcp,
        )
        connection = Connection(
            session, out, brain=self._brain, recognizer=self._recognizer, synthesizer=self._synthesizer,
            pacer=self._pacer, pace=self._pace if faults.pace is None else faults.pace,
            delta_ms=faults.delta_ms or DELTA_MS,
        )  # fmt: skip
        self._connections[socket] = connection
        try:
            async for message in self._messages(socket, number):
                if message is None:
                    await connection.received_binary()
                else:
                    await connection.received(message)
        finally:
            await connection.close()

    async def _pass_on(
        self, socket: "web.WebSocketResponse", out: Socket, number: int, *, upstream: str, model: str
    ) -> None:
        """Hold a session with another endpoint's mind."""
        try:
            endpoint = resolve(model, upstream)
            await relay(
                socket, out, endpoint.url, await endpoint.handshake_headers(), max_bytes=MAX_MESSAGE_BYTES,
                received=lambda message: self._tell(number, message),
            )  # fmt: skip
        except ConnectError as error:
            _log.warning("%s", error)
            out.send([_message(Refused(str(error), "server_error", kind="server_error"))])
            await socket.close(code=1011, message=b"server_error")

    async def _play_back(
        self, socket: "web.WebSocketResponse", out: Socket, number: int, *, recording: Recording
    ) -> None:
        """Hold a session as it was recorded."""
        lines = recording.sessions[(number - 1) % len(recording.sessions)]
        replay = Replay(lines, out, time_scale=self._time_scale, patience_s=self._patience_s)
        playing = asyncio.create_task(replay.play())
        try:
            async for message in self._messages(socket, number):
                replay.received(message or "")
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Deviation):
                await playing
            self.deviations += replay.deviations

    async def _messages(self, socket: "web.WebSocketResponse", number: int) -> AsyncIterator[str | None]:
        """Yield the client's text messages, None for a binary one."""
        from aiohttp import WSMsgType

        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if self._watchers:
                    self._tell(number, message.data)
                yield message.data
            elif message.type is WSMsgType.BINARY:
                yield None

    def _tell(self, number: int, message: str) -> None:
        for watcher in self._watchers:
            watcher.client(number, message)

    async def say(self, text: str) -> None:
        """Have the user of the newest session say something, with no ears in between: a turn as any other.

        Where turns are not detected it is put into the conversation, and the client asks for the answer.

        Raises:
            RuntimeError: no session is open.

        """
        if not self._connections:
            raise RuntimeError("no session is open: nobody is there to say something")
        await next(reversed(self._connections.values())).say(text)

    def _admit(self, request: "web.Request") -> tuple[str, Mapping[str, Any] | None]:
        """Return the model and the initial session of a connection. Raises Refused for what the service refuses."""
        if "realtime=v1" in request.headers.get("OpenAI-Beta", ""):
            raise Refused("The beta shape of the Realtime API is no longer supported.", "beta_api_shape_disabled")
        key = _bearer(request)
        initial: Mapping[str, Any] | None = None
        if key.startswith("ek_"):
            expires_at, initial = self._secrets.get(key, (0.0, {}))
            if expires_at <= time.time():
                raise Refused("Ephemeral token expired.", "invalid_api_key")
        else:
            self._check_key(key)
        if len(self._sockets) > self._max_sessions:
            raise Refused(f"At most {self._max_sessions} sessions may be open.", "too_many_sessions")
        initial = dict(initial or {})
        if request.query.get("intent") == "transcription":
            initial = {**initial, "type": "transcription"}
        secret_model = initial.pop("model", None)
        model = request.query.get("model") or secret_model or ""
        if not model and initial.get("type") != "transcription":
            raise Refused("You must provide a model parameter.", "missing_model", "model")
        return str(model), initial


class _AiohttpSocket:
    """A connection.Socket. Whole frames go straight to the transport: no task has to wake up for them."""

    def __init__(self, socket: "web.WebSocketResponse", transport: Any) -> None:
        self._socket = socket
        self._transport = transport

    @property
    def full(self) -> bool:
        return self._open and self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES

    @property
    def _open(self) -> bool:
        return not self._socket.closed and self._transport is not None and not self._transport.is_closing()

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if self._open:
            self._transport.write(b"".join([text_frame(text) for _, text in messages]))

    async def room(self) -> None:
        while self.full:  # noqa: ASYNC110  # a transport tells only its protocol, which is aiohttp's
            await asyncio.sleep(ROOM_S)


async def _gone(transport: Any) -> None:
    """Hold a connection open until the client has had enough."""
    while not transport.is_closing():  # noqa: ASYNC110  # a transport tells only its protocol, which is aiohttp's
        await asyncio.sleep(POLL_S)


def _message(refused: Refused) -> tuple[str, bytes]:
    return "error", events.encode(refused.event(new_id("event"), None))


async def _close(socket: "web.WebSocketResponse") -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code=1001, message=GOING_DOWN)


def _is_from_here(request: "web.Request") -> bool:
    """Whether no web page of another host asks: a browser names its page, and lets every page reach this machine."""
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        return is_loopback(urlsplit(origin).hostname)
    except ValueError:
        return False


def _bearer(request: "web.Request") -> str:
    """Return the key a client shows: in the Authorization header or, from a browser, as a subprotocol."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return key.strip()
    offered = (name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(","))
    return next((name.removeprefix(KEY_SUBPROTOCOL) for name in offered if name.startswith(KEY_SUBPROTOCOL)), "")


@contextlib.asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0, **options: Any) -> AsyncIterator[RealtimeServer]:
    """Run a local Realtime server for the length of the block; the options are those of RealtimeServer."""
    server = RealtimeServer(host, port, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
