"""`realtime serve`: its options, the mind they choose, and serving until it is told to end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from realtime_voice.errors import ConnectError

if TYPE_CHECKING:
    import argparse
    import asyncio
    from collections.abc import Callable

    from realtime_voice.server import Brain

BRAINS: Final = ("assistant", "scripted", "openai-compatible")
CHAT_KEY: Final = "REALTIME_CHAT_API_KEY"
"""Environment variable with the key for --chat-url."""


def add_arguments(serve: argparse.ArgumentParser, port: Callable[[str], int]) -> None:
    """Add the options of the command."""
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=port, default=8765, help="port, 0 takes a free one (%(default)s)")
    serve.add_argument("--api-key", metavar="KEY", help="key that clients must show")
    serve.add_argument("--pace", type=float, metavar="X", help="send audio X times as fast as it plays, 0 at once (4)")
    mind = serve.add_argument_group("who answers")
    mind.add_argument("--brain", choices=BRAINS, help="mind (assistant, or what the options below want)")
    mind.add_argument("--script", metavar="FILE", help="rules of the scripted mind: YAML, JSON or Python")
    mind.add_argument("--chat-url", metavar="URL", help=f"chat-completions endpoint; its key in {CHAT_KEY}")
    mind.add_argument("--chat-model", metavar="NAME", help="model to ask for there")


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


async def serve_until(stop: asyncio.Event, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Serve until `stop` is set. Raises ConnectError when it cannot listen."""
    from realtime_voice.server import RealtimeServer

    chosen: dict[str, Any] = {} if options.pace is None else {"pace": options.pace}
    server = RealtimeServer(options.host, options.port, api_key=options.api_key, brain=brain_of(options), **chosen)
    try:
        await server.start()
    except OSError as error:
        # asyncio puts its own words before the system's; names that are not found have numbers below 0
        plain = error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno or 0) if plain else str(error.strerror or error)
        raise ConnectError(
            f"cannot listen on {options.host}, port {options.port}: {reason}; "
            "choose another --host or --port (0 takes a free port)"
        ) from error
    try:
        say(f"listening on {server.url}  (Ctrl-C ends)")
        await stop.wait()
    finally:
        await server.stop()
    return 0
