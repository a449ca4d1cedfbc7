"""The command `realtime`: talk, serve, devices, doctor, timeline, demo."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from realtime_voice.audio.barge_in import POLICIES
from realtime_voice.audio.echo import LEVELS
from realtime_voice.errors import RealtimeError
from realtime_voice.serve import add_arguments, serve_until

STOP_S: Final = 0.9
"""How long an interrupted command may take to close what it has open."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
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
    talk.add_argument(
        "--input-device", metavar="NAME|N", type=_device, help="the microphone, by its number or part of its name"
    )
    talk.add_argument(
        "--output-device", metavar="NAME|N", type=_device, help="the speaker, by its number or part of its name"
    )
    talk.add_argument(
        "--latency", metavar="low|safe|MS", type=_latency, help="of the sound devices, by name or in milliseconds"
    )
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
    talk.add_argument(
        "--barge-in", choices=POLICIES, help="who decides that you interrupt (both with echo control or a headset)"
    )
    talk.add_argument("--headset", action="store_true", help="the microphone does not hear the speaker")
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
    devices.add_argument("--json", action="store_true", help="as JSON, for programs")

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
    for command in commands.choices.values():
        command.set_defaults(refuse=command.error)  # with the usage of that command
    return top


def _port(text: str) -> int:
    with suppress(ValueError):
        port = int(text)
        if 0 <= port <= 65535:
            return port
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")


def _device(text: str) -> int | str:
    if not text.strip():
        raise argparse.ArgumentTypeError("give a number of `realtime devices`, or part of a name")
    return int(text) if text.isdecimal() else text


def _latency(text: str) -> Any:
    if text in {"low", "safe"}:
        return text
    if text.isdecimal() and 5 <= int(text) <= 2000:
        return int(text)
    raise argparse.ArgumentTypeError(f"latency is low, safe or 5 to 2000 milliseconds, not {text!r}")


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - this is the command's output


def _talk(options: argparse.Namespace) -> int:
    from realtime_voice.talk import TalkOptions, talk

    return _until_interrupted(
        lambda stop: talk(
            TalkOptions(
                input=options.input or ("none" if options.text else "mic"),
                output=options.output,
                input_device=options.input_device,
                output_device=options.output_device,
                latency=options.latency,
                record=options.record,
                echo_control=options.echo_control,
                noise_suppression=options.noise_suppression,
                barge_in=options.barge_in,
                headset=options.headset,
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


def _devices(options: argparse.Namespace) -> int:
    from realtime_voice.audio import devices
    from realtime_voice.audio.portaudio import INSTEAD

    listed = devices()
    if options.json:
        _say(msgspec.json.format(msgspec.json.encode(listed), indent=1).decode())
        return 0
    if not listed:
        _say(f"no sound devices; connect one and see what `realtime doctor` says, {INSTEAD}")
        return 1
    width = max(len(device.name) for device in listed)
    for device in listed:
        default = ("<" if device.default_input else " ") + (">" if device.default_output else " ")
        sides = (
            f"{side} {channels:3} ({low:.0f} to {safe:.0f} ms)"
            for side, channels, low, safe in (
                ("in", device.input_channels, device.input_latency_ms, device.safe_input_latency_ms),
                ("out", device.output_channels, device.output_latency_ms, device.safe_output_latency_ms),
            )
        )
        name = f"{device.name:<{width}}  {device.host_api:<10}"
        _say(f"{default} {device.index:3}  {name}  {'  '.join(sides)}  {device.rate} Hz")
    _say("< default microphone, > default speaker; channels, and latencies from low to safe; the rate it prefers")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from realtime_voice.doctor import doctor

    return doctor(_say)


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
