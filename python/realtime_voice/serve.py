"""`realtime serve`: its options, the mind they choose, and serving until it is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from realtime_voice.endpoint import is_loopback
from realtime_voice.errors import ConnectError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from realtime_voice.server import Brain, RealtimeServer

BRAINS: Final = ("assistant", "scripted", "openai-compatible")
CHAT_KEY: Final = "REALTIME_CHAT_API_KEY"
"""Environment variable with the key for --chat-url."""


def add_arguments(serve: argparse.ArgumentParser, port: Callable[[str], int]) -> None:
    """Add the options of the command."""
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=port, default=8765, help="port, 0 takes a free one (%(default)s)")
    serve.add_argument("--api-key", metavar="KEY", help="key that clients must show")
    serve.add_argument("--pace", type=float, metavar="X", help="send audio X times as fast as it plays, 0 at once (4)")
    serve.add_argument("--workers", type=int, default=1, metavar="N", help="processes for ears and voice (%(default)s)")
    serve.add_argument("--max-sessions", type=int, default=256, metavar="N", help="connections at once (%(default)s)")
    mind = serve.add_argument_group("who answers")
    mind.add_argument("--brain", choices=BRAINS, help="mind (assistant, or what the options below want)")
    mind.add_argument("--script", metavar="FILE", help="rules of the scripted mind: YAML, JSON or Python")
    mind.add_argument("--chat-url", metavar="URL", help=f"chat-completions endpoint; its key in {CHAT_KEY}")
    mind.add_argument("--chat-model", metavar="NAME", help="model to ask for there")
    mind.add_argument("--upstream", metavar="URL", help="pass sessions on to this Realtime endpoint (OPENAI_API_KEY)")
    mind.add_argument("--replay", metavar="FILE", help="play back what --record kept")
    mind.add_argument("--time-scale", type=float, default=1.0, metavar="X", help="of its pauses; 0: none (%(default)s)")
    test = serve.add_argument_group("to test clients")
    test.add_argument("--record", metavar="FILE", help="keep all sessions, audio included, keys removed")
    test.add_argument("--fault", metavar="NAME=VALUE", action="append", default=[], help="e.g. drop_at=9; repeatable")
    tls = serve.add_argument_group("TLS")
    tls.add_argument("--tls", action="store_true", help="wss with a certificate made for this run")
    tls.add_argument("--tls-save", metavar="FILE", help="where to leave that certificate, for clients to trust")
    tls.add_argument("--tls-cert", metavar="FILE", help="wss with this certificate (PEM)")
    tls.add_argument("--tls-key", metavar="FILE", help="its key, where that is in a file of its own")


def brain_of(options: argparse.Namespace) -> Brain:
    """Make the mind that the options choose. Raises ValueError for options that do not belong together."""
    from realtime_voice.server import Assistant, ChatCompletions, Scripted

    name = options.brain or ("scripted" if options.script else "openai-compatible" if options.chat_url else "assistant")
    if options.script and name != "scripted":
        raise ValueError(f"--script is for --brain scripted, not {name}")
    if (options.chat_url or options.chat_model) and name != "openai-compatible":
        raise ValueError(f"--chat-url and --chat-model are for --brain openai-compatible, not {name}")
    if name == "scripted":
        if not options.script:
            raise ValueError("--brain scripted needs --script FILE")
        return Scripted.load(options.script)
    if name == "openai-compatible":
        if not options.chat_url or not options.chat_model:
            raise ValueError("--brain openai-compatible needs --chat-url URL and --chat-model NAME")
        return ChatCompletions(options.chat_url, options.chat_model, api_key=os.environ.get(CHAT_KEY))
    return Assistant()


def server_of(options: argparse.Namespace) -> RealtimeServer:
    """Make the server that the options describe. Raises ValueError or OSError for what cannot be."""
    from realtime_voice.server import Faults, RealtimeServer
    from realtime_voice.server.certificate import context_of

    if options.tls_save and not options.tls:
        raise ValueError("--tls-save is for the certificate that --tls makes")
    if options.tls_key and not options.tls_cert:
        raise ValueError("--tls-key belongs to --tls-cert FILE")
    tls: Any = context_of(options.tls_cert, options.tls_key) if options.tls_cert else bool(options.tls)
    chosen: dict[str, Any] = {} if options.pace is None else {"pace": options.pace}
    return RealtimeServer(
        options.host, options.port, api_key=options.api_key, brain=brain_of(options), tls=tls,
        faults=Faults.parse(options.fault), record=options.record, upstream=options.upstream, replay=options.replay,
        time_scale=options.time_scale, workers=options.workers, max_sessions=options.max_sessions, **chosen,
    )  # fmt: skip


async def serve_until(stop: asyncio.Event, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Serve until `stop` is set. A request to terminate lets running answers end first; a second one does not.

    Raises ConnectError when it cannot listen.
    """
    server = server_of(options)
    try:
        await server.start()
    except OSError as error:
        if error.filename is not None:  # not the address, but the recording
            raise
        # asyncio puts its own words before the system's; names that are not found have numbers below 0
        plain = error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno or 0) if plain else str(error.strerror or error)
        raise ConnectError(
            f"cannot listen on {options.host}, port {options.port}: {reason}; "
            "choose another --host or --port (0 takes a free port)"
        ) from error
    try:
        if options.tls_save and server.certificate is not None:
            Path(options.tls_save).write_bytes(server.certificate)  # noqa: ASYNC240  # before anyone is served
        if not is_loopback(options.host) and options.api_key is None:
            say(f"no key is asked for: whoever reaches {options.host} may use this server (--api-key KEY)")
        terminate = _on_terminate(stop)
        say(f"listening on {server.url}  (Ctrl-C ends)")
        await _either(stop, terminate)
        if not stop.is_set():
            say("no new sessions; running answers may end")
            draining = asyncio.ensure_future(server.drain())
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({draining, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
    finally:
        await server.stop()
    return 0


def _on_terminate(stop: asyncio.Event) -> asyncio.Event:
    """Return an event that the first request to terminate sets; the second one sets `stop`."""
    terminate = asyncio.Event()

    def terminated() -> None:
        (stop if terminate.is_set() else terminate).set()

    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated)
    return terminate


async def _either(*happenings: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(happening.wait()) for happening in happenings]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
