"""A conversation from the command line: audio sides, the agent, what is shown, and the end."""

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from realtime_voice import endpoint
from realtime_voice.audio import AudioEvent, DeviceAudioIO, FileAudioIO, SplitAudioIO
from realtime_voice.audio.barge_in import Policy
from realtime_voice.audio.device import Latency
from realtime_voice.audio.echo import NoiseSuppression
from realtime_voice.audio.engine import EngineAudioIO
from realtime_voice.audio.portaudio import INSTEAD
from realtime_voice.console import Console
from realtime_voice.errors import AudioDeviceError
from realtime_voice.events import (
    AgentTranscript,
    ConversationItemInputAudioTranscriptionCompleted,
    Error,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    Interrupted,
    Reconnected,
    Reconnecting,
    Renewed,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    ToolCall,
    ToolResult,
    Usage,
)
from realtime_voice.keys import Keys
from realtime_voice.timeline import TimelineBuilder
from realtime_voice.tools import Tool

QUIET_S: Final = 3.0
"""How long nothing may happen after the end of a recorded or typed input before the conversation ends."""
OWED_S: Final = 10.0
"""How long an answer may take to begin before it is no longer waited for."""
SILENCE_S: Final = 10.0
"""How long an endpoint may take to answer the configuration."""
ENDING_S: Final = 0.8
"""How long an ended conversation may take to close its connection."""
REFRESH_S: Final = 0.04
TYPED_LINES: Final = 16
"""How many typed lines may wait to be sent before no more are read."""
LINE_CHARACTERS: Final = 4096
"""Longer typed lines are sent in parts."""
HANGOVER_MS: Final = 200
"""Silence that ends local speech: short, so that its end is seen before the answer begins."""
INSTRUCTIONS: Final = (
    "You are a friendly voice assistant. Answer in one or two short sentences. Use your tools when they help."
)

SERVER_NEEDS: Final = ("aiohttp", "pocketsphinx")
"""What the local server cannot do without, by import name; a voice it always has."""

Agent = Literal["strands", "session"]
Audio = EngineAudioIO | SplitAudioIO


class TalkOptions(msgspec.Struct, kw_only=True):
    """What `realtime talk` was asked for."""

    input: str = "mic"
    """A WAV file, "mic" or "none"."""
    output: str = "speaker"
    """A WAV file, "speaker" or "none"."""
    input_device: int | str | None = None
    output_device: int | str | None = None
    latency: Latency | None = None
    record: str | None = None
    echo_control: Literal["auto", "webrtc", "off"] = "auto"
    noise_suppression: NoiseSuppression | None = None
    barge_in: Policy | None = None
    headset: bool = False
    timeline: str | None = None
    text: bool = False
    agent: Agent | None = None
    tools: list[str] = []
    local: bool = False
    url: str | None = None
    model: str = "gpt-realtime"
    voice: str | None = None
    instructions: str | None = None


class Conversation:
    """Watches a conversation: shows it, keeps its timeline, counts usage and knows when nothing is going on."""

    def __init__(self, audio: Audio, console: Console, title: str) -> None:
        self.audio = audio
        self.console = console
        self.builder = TimelineBuilder(title)
        self.usage = Usage()
        self.ended = asyncio.Event()
        """Set when the agent was asked to end the conversation."""
        self.watchers: list[Callable[[object], object]] = []
        """Called with every event besides."""
        self.say: Callable[[str], Awaitable[object]] | None = None
        """Sends typed text to the agent that has begun."""
        self._loop = asyncio.get_running_loop()
        self._responses: set[str] = set()
        self._tools: set[str] = set()
        self._unfinished: dict[tuple[str, str, int], str] = {}
        """The text so far of each part of a running answer, by response, item and part."""
        self._user_speaks = False
        self.begun = asyncio.Event()
        """Set when the agent is there."""
        self._owed_until = 0.0
        self._busy_at = self._loop.time()
        audio.observer = self.observe

    def observe(self, event: object) -> None:
        """Take any event of the session or of the audio side."""
        now = self._loop.time()
        match event:
            case SessionUpdated():
                self.begun.set()
            case ResponseCreated(response=response):
                self._owed_until = now
                self._responses.add(response.id or "")
            case ResponseDone(response=response):
                self._responses.discard(response.id or "")
                self._forget(lambda key: key[0] == response.id)
                self.usage.add_response(response.usage)
            case ConversationItemInputAudioTranscriptionCompleted(usage=usage):
                self.usage.add_transcription(usage)
            case AgentTranscript(final=False):
                self._unfinished[event.response_id, event.item_id, event.content_index] = event.text
            case AgentTranscript():
                self._unfinished.pop((event.response_id, event.item_id, event.content_index), None)
            case Interrupted(item_id=item_id):  # what was heard of it is shown
                self._forget(lambda key: key[1] == item_id)
            case ToolCall(call_id=call_id):
                self._tools.add(call_id)
            case ToolResult(call_id=call_id):
                self._tools.discard(call_id)
                self.owe()
            case InputAudioBufferSpeechStarted():
                self._user_speaks = True
            case InputAudioBufferSpeechStopped():
                self._user_speaks = False
                self.owe()
            case Error(error=details):
                self.console.line("error", details.message or "unknown", now)
            case Reconnecting(reason=reason):
                self.console.line("error", f"{reason}; connecting again", now)
            case Reconnected() | Renewed():  # what ran on the connection before has ended
                self._responses.clear()
                self._user_speaks = False
        self.console.observe(event, now)
        self.builder.observe(event, now)
        for watcher in self.watchers:
            watcher(event)

    def _forget(self, ended: Callable[[tuple[str, str, int]], bool]) -> None:
        self._unfinished = {key: text for key, text in self._unfinished.items() if not ended(key)}

    def owe(self) -> None:
        """Expect an answer to what the user has just said."""
        self._owed_until = self._loop.time() + OWED_S

    @property
    def busy(self) -> bool:
        """Somebody speaks, answers, works or is about to."""
        answering = self._responses or self._tools or self._loop.time() < self._owed_until
        return bool(answering or self._user_speaks or not self.audio.silent or self.audio.playing)

    async def quiet(self, seconds: float = QUIET_S) -> None:
        """Wait until the agent is there and nothing has been going on for so long."""
        await self.begun.wait()
        self._busy_at = self._loop.time()
        while self._loop.time() - self._busy_at < seconds:
            await asyncio.sleep(0.05)
            if self.busy:
                self._busy_at = self._loop.time()

    async def watch_levels(self, status: Callable[[], str]) -> None:
        """Keep meters and timeline fed until cancelled."""
        while True:
            user_db, agent_db = self.audio.levels
            self.builder.timeline.hear(self._loop.time(), user_db, agent_db)
            self.console.status(user_db, agent_db, status())
            await asyncio.sleep(REFRESH_S)

    def close(self) -> None:
        """Show what of a running answer has come so far: its end will not come any more."""
        for text in self._unfinished.values():
            if text.strip():
                self.console.line("agent", f"“{text.strip()} …”", self._loop.time())
        self._unfinished.clear()
        self.console.close()

    def summary(self) -> str:
        """Say in one line what the conversation took."""
        usage, spans = self.usage, self.builder.timeline.spans
        # What they took is told only at their end.
        unfinished = f" and {len(self._responses)} unfinished" if self._responses else ""
        heard, spoken = (
            sum(span.end - span.start for span in spans if span.lane == lane) for lane in ("user", "agent")
        )
        return (
            f"usage: {usage.responses} responses{unfinished}, {usage.input_tokens} tokens in "
            f"(audio {usage.input_audio_tokens}, text {usage.input_text_tokens}, cached {usage.cached_tokens}), "
            f"{usage.output_tokens} out "
            f"(audio {usage.output_audio_tokens}, text {usage.output_text_tokens}); "
            f"heard {heard:.1f} s, spoke {spoken:.1f} s"
        )


async def talk(options: TalkOptions, stop: asyncio.Event) -> int:
    """Hold a conversation until the user, the agent or the input's end ends it; returns the exit status.

    Raises RealtimeError, ValueError, OSError or ImportError for what cannot be done.
    """
    refuse_same_file(options)
    refuse_empty(options)
    refuse_unwritable(options.timeline)
    console = Console()
    agent = options.agent or default_agent()
    tools = load_tools(options.tools, agent)
    audio = open_audio(options)
    conversation = Conversation(audio, console, "realtime talk")
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(console.close)
        url = options.url
        if options.local or not has_endpoint(url):
            need_server("or set OPENAI_API_KEY, or give --url")
            if not options.local:
                console.line("", "no key and no URL: talking to the local server in this process")
            url = await stack.enter_async_context(local_server())
        run = converse(agent, options, url, tools, conversation)
        keys = _Controls(conversation, stop, read=not options.text)
        stack.enter_context(Keys(keys.pressed) if not options.text else contextlib.nullcontext())
        ending: list[Callable[[], Awaitable[object]]] = [stop.wait]
        if options.text:
            ending.append(lambda: _typed(conversation))
        elif options.input not in {"mic", "none"}:
            ending.append(conversation.quiet)
        levels = asyncio.create_task(conversation.watch_levels(keys.status))
        try:
            await until_first(run, *ending)
        except AudioDeviceError as error:
            if not options.text:
                raise
            raise AudioDeviceError(str(error).replace(INSTEAD, "or only read the answers: --output none")) from error
        finally:
            levels.cancel()
            conversation.close()
            if conversation.begun.is_set():
                print(conversation.summary(), flush=True)  # noqa: T201 - this is the command's output
            if options.timeline is not None:
                conversation.builder.timeline.save(options.timeline)
    return 0


async def converse(
    agent: Agent, options: TalkOptions, url: str | None, tools: Sequence[Any], conversation: Conversation
) -> None:
    """Run the agent until it ends. The audio side is stopped, and its files whole, whatever happens."""
    run = _strands if agent == "strands" else _session
    try:
        await run(options, url, tools, conversation)
    finally:
        await conversation.audio.stop()


async def until_first(run: Awaitable[None], *endings: Callable[[], Awaitable[object]]) -> None:
    """Await `run` until it ends or one of `endings` does; then it is cancelled and has a moment to close."""
    main = asyncio.ensure_future(run)
    others = [asyncio.ensure_future(ending()) for ending in endings]
    try:
        await asyncio.wait([main, *others], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for other in others:
            other.cancel()
        if not main.done():
            main.cancel()
            await asyncio.wait([main], timeout=ENDING_S)
    if main.done() and not main.cancelled() and (error := main.exception()) is not None:
        raise _plain(error)
    for other in others:
        if other.done() and not other.cancelled() and (error := other.exception()) is not None:
            raise error


def _plain(error: BaseException) -> BaseException:
    """Take an error out of the groups that task groups make."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _session(options: TalkOptions, url: str | None, tools: Sequence[Any], conversation: Conversation) -> None:
    from realtime_voice.session import connect

    def stop_conversation() -> str:
        """End this conversation, when the user says "stop conversation"."""
        conversation.ended.set()
        return "The conversation ends now."

    session = connect(
        model=options.model,
        base_url=url,
        voice=options.voice,
        instructions=options.instructions or INSTRUCTIONS,
        tools=[*(tools or [calculator]), stop_conversation],
        audio=conversation.audio,
    )
    async with session:
        conversation.say = session.send_text

        async def listen() -> None:
            async for event in session:
                if not isinstance(event, AudioEvent):  # the audio side tells them itself
                    conversation.observe(event)

        async def ended() -> None:
            await conversation.ended.wait()
            await conversation.quiet(0.3)

        await until_first(listen(), ended)


async def _strands(options: TalkOptions, url: str | None, tools: Sequence[Any], conversation: Conversation) -> None:
    from realtime_voice.strands import (
        BidiAgent,
        BidiAudioIO,
        BidiOpenAIRealtimeModel,
        observe_tool_results,
        stop_conversation,
    )
    from realtime_voice.strands.threads import DaemonThreads

    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    if not tools:
        from strands_tools import calculator as strands_calculator

        logging.getLogger("strands_tools").setLevel(logging.ERROR)  # it warns of its own future at every call
        tools = [strands_calculator]
    model = BidiOpenAIRealtimeModel(
        model_id=options.model,
        provider_config={"audio": {"voice": options.voice}} if options.voice else None,
        client_config={"base_url": url} if url else None,
    )
    model.observer = conversation.observe
    model.silence_limit_s = SILENCE_S
    agent = BidiAgent(
        model=model,
        tools=[*tools, stop_conversation],
        system_prompt=options.instructions or INSTRUCTIONS,
    )
    observe_tool_results(agent, conversation.observe)
    conversation.say = agent.send
    audio_io = BidiAudioIO(audio=conversation.audio)
    await agent.run(inputs=[audio_io.input()], outputs=[audio_io.output()])


def calculator(expression: str) -> str:
    """Work out an arithmetic expression, such as "12 * 7".

    Args:
        expression: Numbers, + - * / // % ** and parentheses.

    """
    import ast
    import operator

    operations: dict[type, Callable[..., float]] = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.USub: operator.neg,
        ast.UAdd: operator.pos,
    }

    def value(node: ast.AST) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                base, exponent = value(left), value(right)
                if abs(exponent) > 64 or abs(base) > 1e6:
                    raise ValueError("numbers this large are out of reach")
                return float(base**exponent)
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in operations:
                return operations[type(operation)](value(left), value(right))
            case ast.UnaryOp(op=operation, operand=operand) if type(operation) in operations:
                return operations[type(operation)](value(operand))
        raise ValueError(f"not arithmetic: {ast.unparse(node)}")

    return f"{value(ast.parse(expression, mode='eval').body):.10g}"


def default_agent() -> Agent:
    """Strands where it is installed, else the project's own session."""
    installed = importlib.util.find_spec("strands") and importlib.util.find_spec("strands_tools")
    return "strands" if installed else "session"


def load_tool(spec: str) -> Any:
    """Import MODULE:NAME, modules of the working directory included. Raises ValueError that says what is wrong."""
    module, _, name = spec.partition(":")
    if not module or not name:
        raise ValueError(f"--tool {spec}: give MODULE:NAME, such as strands_tools.calculator:calculator")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"--tool {spec}: {error}") from error
    if not hasattr(found, name):
        raise ValueError(f"--tool {spec}: {module} has no {name}")
    return getattr(found, name)


def load_tools(specs: Sequence[str], agent: Agent) -> list[Any]:
    """Import tools as the agent takes them. Raises ValueError that names the option and says what is wrong."""
    tools: dict[str, Any] = {}
    for spec in specs:
        found = load_tool(spec)
        try:
            found = _adopt(found, agent)
        except (TypeError, ValueError) as error:
            raise ValueError(f"--tool {spec}: {error}") from error
        name = str(getattr(found, "tool_name", None) or getattr(found, "name", spec))
        if name in tools:
            raise ValueError(f"--tool {spec}: another tool is named {name}")
        tools[name] = found
    return list(tools.values())


def _adopt(found: Any, agent: Agent) -> Any:
    if agent == "strands":
        from realtime_voice.strands.adopt import adopt

        return adopt(found)
    if not callable(found):
        raise TypeError(f"a tool is a function or a Tool, not {type(found).__name__}")
    return found if isinstance(found, Tool) else Tool(found)


def refuse_empty(options: TalkOptions) -> None:
    """Raise ValueError for a name that says nothing."""
    for option, name in (("--voice", options.voice), ("--model", options.model)):
        if name is not None and not name.strip():
            raise ValueError(f"{option} is empty: give a name, or leave the option out")


def refuse_unwritable(timeline: str | None) -> None:
    """Raise ValueError when the timeline could not be kept; a file that is there stays as it is."""
    if timeline is None:
        return
    path = Path(timeline)
    try:
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise ValueError(f"--timeline: cannot write {timeline}: {error.strerror or error}") from error


def refuse_same_file(options: TalkOptions) -> None:
    """Raise ValueError when two options name one file, which would be overwritten."""
    named: dict[Path, str] = {}
    for option, name in (
        ("--input", None if options.input in {"mic", "none"} else options.input),
        ("--output", None if options.output in {"speaker", "none"} else options.output),
        ("--record", options.record),
        ("--timeline", options.timeline),
    ):
        if name is None:
            continue
        other = named.setdefault(Path(name).resolve(), option)
        if other != option:
            raise ValueError(f"{other} and {option} are the same file, {name}: give each its own")


def open_audio(options: TalkOptions) -> Audio:
    """Make the audio sides asked for; devices open when the conversation starts. Raises AudioFileError."""
    mic, speaker = options.input == "mic", options.output == "speaker"
    if mic and speaker:
        return DeviceAudioIO(
            input_device=options.input_device,
            output_device=options.output_device,
            latency=options.latency,
            record=options.record,
            hangover_ms=HANGOVER_MS,
            echo_control=None if options.echo_control == "off" else options.echo_control,
            noise_suppression=options.noise_suppression,
            barge_in=options.barge_in,
            headset=options.headset,
        )
    if options.echo_control == "webrtc" or options.noise_suppression:
        raise ValueError("--echo-control needs --input mic and --output speaker: only they hear each other")
    if options.headset or options.barge_in is not None:
        raise ValueError("--headset and --barge-in need --input mic and --output speaker: only they hear each other")
    for option, name, used in (
        ("--input-device", options.input_device, mic),
        ("--output-device", options.output_device, speaker),
        ("--latency", options.latency, mic or speaker),
    ):
        if name is not None and not used:
            raise ValueError(f"{option} is for a sound device: leave it out, or use --input mic, --output speaker")
    microphone = None if options.input in {"mic", "none"} else options.input
    output = None if options.output in {"speaker", "none"} else options.output
    if not mic and not speaker:
        return FileAudioIO(microphone, output, linger_s=None, record=options.record, hangover_ms=HANGOVER_MS)
    if options.record is not None:
        raise ValueError(
            "--record needs both sides on one clock: --input mic --output speaker, "
            "or for each of them a file or none (at present "
            f"--input {options.input} --output {options.output})"
        )
    if mic:
        return SplitAudioIO(
            DeviceAudioIO(
                input_device=options.input_device,
                output_device=False,
                latency=options.latency,
                hangover_ms=HANGOVER_MS,
            ),
            FileAudioIO(None, output, linger_s=None),
        )
    return SplitAudioIO(
        FileAudioIO(microphone, linger_s=None, hangover_ms=HANGOVER_MS),
        DeviceAudioIO(input_device=False, output_device=options.output_device, latency=options.latency),
    )


def has_endpoint(url: str | None) -> bool:
    """Tell whether `url` or the environment says where to connect. Raises ValueError when that cannot be used."""
    try:
        endpoint.resolve("any", base_url=url)
    except ValueError as error:
        if "API key is required" in str(error):
            return False
        raise
    return True


def need_server(instead: str = "") -> None:
    """Raise ImportError, which names the extra to install and what to do `instead`, where the server cannot run."""
    missing = [name for name in SERVER_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"the local server needs {' and '.join(missing)}: pip install 'realtime-core[local]'"
            f"{instead and ', '}{instead}"
        )


@asynccontextmanager
async def local_server() -> AsyncIterator[str]:
    """Run the local server in this process and give its URL. Raises ImportError that names the extra to install."""
    need_server()
    from realtime_voice.server import serve

    async with serve() as server:
        yield server.url


async def _typed(conversation: Conversation) -> None:
    """Send lines of stdin until its end, then wait for the last answer."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    room = threading.Semaphore(TYPED_LINES)

    def read() -> None:
        # A daemon thread, for a read from a terminal cannot be cancelled.
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            for line in iter(lambda: sys.stdin.readline(LINE_CHARACTERS), ""):
                room.acquire()
                loop.call_soon_threadsafe(lines.put_nowait, line.strip())
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    await conversation.begun.wait()
    while (line := await lines.get()) is not None:
        room.release()
        if line and conversation.say is not None:
            conversation.console.line("you", f"“{line}”", loop.time())
            conversation.owe()
            await conversation.say(line)
            if not _is_terminal():  # a script waits for its answers
                await conversation.quiet(0.5)
    await conversation.quiet()


def _is_terminal() -> bool:
    return sys.stdin.isatty()


class _Controls:
    """What keys do while a conversation runs."""

    def __init__(self, conversation: Conversation, stop: asyncio.Event, *, read: bool = True) -> None:
        self._read = read
        """Whether keys are read: while lines are typed, they are not."""
        self._audio = conversation.audio
        self._stop = stop
        self._muted = False
        self._push_to_talk = False
        self._talking = False

    def pressed(self, key: str) -> None:
        """Do what a key asks for; other keys do nothing."""
        match key:
            case "m":
                self._muted = not self._muted
            case "p":
                self._push_to_talk = not self._push_to_talk
                self._talking = False
            case " " if self._push_to_talk:
                self._talking = not self._talking
            case "+" | "=":
                self._audio.volume = min(4.0, round(self._audio.volume + 0.1, 1))
            case "-":
                self._audio.volume = max(0.0, round(self._audio.volume - 0.1, 1))
            case "q":
                self._stop.set()
        # The server decides turns by what it hears: a key not held is silence, not a gap.
        self._audio.muted = self._muted or (self._push_to_talk and not self._talking)

    def status(self) -> str:
        """Say what the keys have done and what they can do."""
        if not self._read:
            return ""
        talk = (" TALKING" if self._talking else " [space] to talk") if self._push_to_talk else ""
        mute = "MUTED [m]" if self._muted else "[m]ute"
        return f"{self._audio.volume * 100:.0f} %{talk} {mute} [p]ush-to-talk [+-] [q]uit"
