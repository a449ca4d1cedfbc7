"""HTTP and WebSocket on one port with aiohttp: /v1/realtime, /v1/realtime/client_secrets, /health."""

import asyncio
import contextlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from realtime_voice import events
from realtime_voice.server import turns
from realtime_voice.server.assistant import Assistant
from realtime_voice.server.configuration import SESSION_LIMIT_S, Configuration, Refused, check_session, merge
from realtime_voice.server.connection import Connection
from realtime_voice.server.interfaces import Brain, Recognizer, Synthesizer
from realtime_voice.server.protocol import ServerProtocol
from realtime_voice.server.speech import SpeechProcess
from realtime_voice.server.voice import VOICES

if TYPE_CHECKING:
    from aiohttp import web

MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""Largest message of a client: 15 MiB of audio in base64, and room for the rest."""
MAX_SECRETS = 1024
SECRET_SECONDS = (10, 7200)
DEFAULT_SECRET_SECONDS = 600
CLOSE_TIMEOUT_S = 1.0
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
        pace: float = 4.0,
        max_sessions: int = 256,
        session_limit_s: float = SESSION_LIMIT_S,
        detector: Callable[[], turns.SpeechDetector] = make_detector,
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
            pace: how many times faster than real time audio is sent; 0 sends it at once.
            max_sessions: WebSocket connections at once; further ones are told so and closed.
            session_limit_s: longest session.
            detector: makes the voice activity detector of a session.

        Raises:
            ValueError: an option is out of range.

        """
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        if not 0 <= pace <= 1000:
            raise ValueError(f"pace must be from 0 (at once) to 1000 times real time, not {pace}")
        if voice is not None and voice not in VOICES:
            raise ValueError(f"voice must be one of {', '.join(VOICES)}, not {voice!r}")
        if max_sessions < 1 or session_limit_s <= 0:
            raise ValueError("max_sessions and session_limit_s must be positive")
        self.host = host
        self.port = port
        self._api_key = api_key
        self._brain = brain or Assistant()
        self._speech = SpeechProcess(voice) if recognizer is None or synthesizer is None else None
        self._recognizer: Any = recognizer or self._speech
        self._synthesizer: Any = synthesizer or self._speech
        self._pace = pace
        self._max_sessions = max_sessions
        self._limit_s = session_limit_s
        self._detector = detector
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._secrets: dict[str, tuple[float, dict[str, Any]]] = {}
        self.sessions = 0
        """Sessions opened since the start."""

    @property
    def url(self) -> str:
        """WebSocket URL of the server, e.g. ws://127.0.0.1:8765/v1/realtime."""
        return f"ws://{self._address}/v1/realtime"

    @property
    def base_url(self) -> str:
        """HTTP base URL, as OPENAI_BASE_URL wants it."""
        return f"http://{self._address}/v1"

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
            site = web.TCPSite(self._runner, self.host, self.port)
            await site.start()
        except BaseException:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all sessions, the port and the speech worker; bounded, idempotent."""
        runner, self._runner = self._runner, None
        for socket in list(self._sockets):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await socket.close(code=1001, message=b"server is going down")
        if runner is not None:
            await runner.cleanup()
        if self._speech is not None:
            await self._speech.stop()

    # --- HTTP ---

    async def _health(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.json_response({"status": "ok", "sessions": len(self._sockets), "voice": self.voice_name})

    async def _client_secrets(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        try:
            self._check_key(_bearer(request))
            body = await request.json() if request.can_read_body else {}
            return web.json_response(self._new_secret(body))
        except json.JSONDecodeError:
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
            typed = msgspec.convert(session, events.Session)
        except msgspec.ValidationError as error:
            raise Refused(f"Invalid 'session': {error}.", "invalid_type", "session") from None
        change = msgspec.to_builtins(typed)
        check_session(change, "session")
        now = time.time()
        self._secrets = {value: kept for value, kept in self._secrets.items() if kept[0] > now}
        if len(self._secrets) >= MAX_SECRETS:
            raise Refused(f"At most {MAX_SECRETS} client secrets may be open.", "too_many_secrets")
        value = f"ek_{secrets.token_hex(16)}"
        self._secrets[value] = (now + seconds, change)
        model = session.get("model") or "gpt-realtime"
        effective = Configuration(new_id("sess"), model, 0).effective
        return {"value": value, "expires_at": int(now + seconds), "session": merge(effective, change)}

    def _check_key(self, key: str) -> None:
        if self._api_key is not None and not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise Refused("Incorrect API key provided.", "invalid_api_key")

    # --- WebSocket ---

    async def _realtime(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MAX_MESSAGE_BYTES, heartbeat=PING_S, compress=False,
            timeout=CLOSE_TIMEOUT_S,
        )  # fmt: skip
        if not socket.can_prepare(request):
            return web.json_response({"error": {"message": "Expected a WebSocket upgrade."}}, status=426)
        try:
            await socket.prepare(request)
        except ConnectionError:  # the client left meanwhile: nobody is there to answer
            return socket
        self._sockets.add(socket)
        try:
            await self._session(request, socket)
        finally:
            self._sockets.discard(socket)
        return socket

    async def _session(self, request: "web.Request", socket: "web.WebSocketResponse") -> None:
        try:
            model, initial = self._admit(request)
        except Refused as refused:
            await socket.send_str(events.encode(refused.event(new_id("event"), None)).decode())
            code = 3000 if refused.code == "invalid_api_key" else 4000
            await socket.close(code=code, message=f"{refused.kind}.{refused.code}".encode())
            return
        session = ServerProtocol(
            model=model, now=time.time(), new_id=new_id, make_detector=self._detector, initial=initial,
            limit_s=self._limit_s,
        )  # fmt: skip
        self.sessions += 1
        connection = Connection(
            session, _AiohttpSocket(socket), brain=self._brain, recognizer=self._recognizer,
            synthesizer=self._synthesizer, pace=self._pace,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._limit_s):
                await self._converse(socket, connection)
        except TimeoutError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await connection.expire()
            await socket.close(code=1001, message=b"session_expired")
        finally:
            await connection.close()

    async def _converse(self, socket: "web.WebSocketResponse", connection: Connection) -> None:
        from aiohttp import WSMsgType

        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await connection.received(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.received_binary()

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
    def __init__(self, socket: "web.WebSocketResponse") -> None:
        self._socket = socket

    async def send_text(self, text: str) -> None:
        await self._socket.send_str(text)


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
