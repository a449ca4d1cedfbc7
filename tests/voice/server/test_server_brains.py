"""The scripted mind, and the one behind a chat-completions endpoint (a small fake one on loopback)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from realtime_voice.cli import main, parser
from realtime_voice.events import ContentPart, Item
from realtime_voice.serve import brain_of
from realtime_voice.server import Assistant, Call, ChatCompletions, Context, Fail, Rule, Say, Scripted, Turn, Wait
from realtime_voice.server.chat import SPOKEN, messages_of

WEATHER = {
    "type": "function", "name": "get_weather", "description": "Weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer"}, "wind": {"type": "boolean"}},
    },
}  # fmt: skip
SCRIPT = r"""
rules:
  - starts: true
    do: [{say: Good morning.}]
  - says: weather in (?P<city>\w+) for (\w+) days
    do:
      - say: One moment.
      - wait: 0.5
      - call: {name: get_weather, arguments: {city: "{city}", days: "{2}", wind: true, note: ["{said}"]}}
  - result: get_.*
    do: [{say: "It is {result}."}]
  - image: true
    do: [{say: "I see. {0}"}]
  - silent: true
    do: [{fail: {code: server_error, message: "Silence in turn {turn}."}}]
  - says: stop
    turn: 2
    do: [{call: stop_conversation}]
"""


def user(text: str, kind: str = "input_text") -> Item:
    return Item(type="message", role="user", content=[ContentPart(type=kind, text=text)])


async def steps(brain: Any, *items: Item, tools: Any = (WEATHER,), **settings: Any) -> list[Any]:
    context = Context(**{"items": list(items), "tools": tools, "tool_choice": "auto", "instructions": "Be kind.",
                         "modality": "audio", **settings})  # fmt: skip
    return [step async for step in brain.respond(context)]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)
    return path


# --- scripted ---------------------------------------------------------------------------------------------------------


async def test_rules_fit_what_the_user_says_and_does(script: Path) -> None:
    brain = Scripted.load(script)
    assert await steps(brain) == [Say("Good morning.")]
    asked = user("What is the weather in oslo for three days?")
    arguments = {"city": "Oslo", "days": 3, "wind": True, "note": ["What is the weather in oslo for three days?"]}
    assert await steps(brain, asked) == [Say("One moment."), Wait(0.5), Call("get_weather", arguments)]
    call = Item(type="function_call", name="get_weather", call_id="c", arguments="{}")
    output = Item(type="function_call_output", call_id="c", output='{"result": "sunny"}')
    assert await steps(brain, asked, call, output) == [Say("It is sunny.")]
    image = Item(type="message", role="user", content=[ContentPart(type="input_image", image_url="data:image/png;,")])
    assert await steps(brain, image) == [Say("I see. {0}")]
    assert await steps(brain, user("stop"), user("")) == [Fail("server_error", "Silence in turn 2.")]
    assert await steps(brain, user("x"), user("please STOP")) == [Call("stop_conversation", {})]
    assert await steps(brain, user("stop")) == []


async def test_rules_in_python_may_make_their_steps(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "from realtime_voice.server import Rule, Say\n"
        "rules = [Rule(says='count', do=lambda turn: [Say(str(n)) for n in range(turn.number)])]\n"
    )
    assert await steps(Scripted.load(path), user("a"), user("count")) == [Say("0"), Say("1")]
    assert Rule(says="b").match(Turn(1, "abc")) == {"said": "abc", "tool": "", "result": "", "turn": "1"}


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.yaml", "rules: 3", "array"),
        ("a.yaml", "rules: [{says: x, does: []}]", "does"),
        ("a.yaml", "rules: [{do: [{say: a, wait: 1}]}]", "say and wait"),
        ("a.json", '{"rules": [{"do": [{}]}]}', "nothing"),
        ("a.json", '{"rules": [{"do": [{"wait": -1}]}]}', "wait must be"),
        ("a.yaml", "rules: [{says: '('}]", "rule 1.*regular expression"),
        ("a.yaml", "rules: [", "a.yaml"),
        ("a.py", "rules = 3", "list of realtime_voice.server.Rule"),
    ],
)
def test_wrong_scripts_say_where(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        Scripted.load(tmp_path / name)


async def test_script_through_the_server(start: Any, connect: Any, script: Path, ears: Any, sounds: Any) -> None:
    ears.texts = ["the weather in Rome for two days"]
    async with start(brain=Scripted.load(script)) as server, connect(server) as client:
        await client.until("session.created")
        await client.update(tools=[WEATHER])
        await client.append(sounds.turn)
        said, call = (await client.until("response.done"))["response"]["output"]
        assert said["content"][0]["transcript"] == "One moment."
        assert json.loads(call["arguments"])["days"] == 2
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        answer = (await client.until("response.done"))["response"]["output"][0]
        assert answer["content"][0]["transcript"] == "It is rain."


# --- chat completions -------------------------------------------------------------------------------------------------


class Endpoint:
    """A chat-completions endpoint that streams the next of `answers`: deltas, events to wait for, raw lines."""

    def __init__(self) -> None:
        self.answers: list[list[Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.closed = asyncio.Event()
        self.status = 200
        self.url = ""

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        if self.status != 200:
            return web.json_response({"error": {"code": "no_model", "message": "No such model."}}, status=self.status)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        try:
            for piece in self.answers.pop(0):
                if isinstance(piece, asyncio.Event):
                    await piece.wait()
                    continue
                line = piece if isinstance(piece, str) else json.dumps({"choices": [{"delta": piece}]})
                await answer.write(f"data: {line}\n\n".encode())
        except (ConnectionError, asyncio.CancelledError):
            self.closed.set()
            raise
        return answer


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    fake = Endpoint()
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", fake.complete)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield fake
    await runner.cleanup()


async def test_sentences_are_spoken_while_the_model_goes_on(endpoint: Endpoint) -> None:
    going_on = asyncio.Event()
    first = [{"role": "assistant", "content": ""}, {"content": "It is su"}, {"content": 'nny. "Really!" And it'}]
    endpoint.answers = [[*first, going_on, {"content": " is 2.5 degrees"}, "[DONE]"]]
    stream = ChatCompletions(endpoint.url, "m", api_key="k").respond(
        Context([user("hello")], [WEATHER], "auto", "Be kind.", "audio")
    )
    assert await anext(stream) == Say("It is sunny.")
    assert await anext(stream) == Say('"Really!"')
    going_on.set()
    assert [step async for step in stream] == [Say("And it is 2.5 degrees")]
    request = endpoint.requests[0]
    assert request["messages"] == [
        {"role": "system", "content": f"Be kind.\n{SPOKEN}"}, {"role": "user", "content": "hello"},
    ]  # fmt: skip
    assert (request["model"], request["stream"], request["tool_choice"]) == ("m", True, "auto")
    assert request["tools"] == [
        {"type": "function", "function": {key: WEATHER[key] for key in WEATHER if key != "type"}}
    ]
    assert endpoint.keys == ["Bearer k"]


async def test_function_calls_come_in_pieces(endpoint: Endpoint) -> None:
    def piece(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}}]}

    endpoint.answers = [[piece(0, '{"a"', "f"), piece(0, ": 1}"), piece(1, "", "g"), "[DONE]"]]
    brain = ChatCompletions(endpoint.url, "m")
    choice = {"type": "function", "name": "f"}
    assert await steps(brain, user("x"), tool_choice=choice) == [Call("f", {"a": 1}), Call("g", {})]
    assert endpoint.requests[0]["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert endpoint.keys == [None]
    endpoint.answers = [["[DONE]"]]
    await steps(brain, user("x"), tool_choice="none", modality="text", instructions="")
    assert set(endpoint.requests[1]) == {"model", "stream", "messages"}


def test_conversation_as_messages() -> None:
    calls = [Item(type="function_call", name=name, call_id=name, arguments='{"a":1}') for name in "fg"]
    outputs = [Item(type="function_call_output", call_id=name, output=name.upper()) for name in "fg"]
    image = ContentPart(type="input_image", image_url="data:image/png;base64,AAAA")
    shown = Item(type="message", role="user", content=[ContentPart(type="input_text", text="see"), image])
    said = Item(type="message", role="assistant", content=[ContentPart(type="output_audio", transcript="Hi.")])
    cut = Item(type="message", role="assistant", content=[ContentPart(type="output_audio")])
    context = Context([said, cut, shown, *calls, *outputs], [], "auto", "", "text")
    function = {"type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert messages_of(context) == [
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "see"},
                                     {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "f", **function},
            {"id": "g", "type": "function", "function": {"name": "g", "arguments": '{"a":1}'}},
        ]},
        {"role": "tool", "tool_call_id": "f", "content": "F"},
        {"role": "tool", "tool_call_id": "g", "content": "G"},
    ]  # fmt: skip


@pytest.mark.parametrize("lines", [["{"], ['{"error": {"message": "secret"}}'], ["[]"]])
async def test_broken_stream_fails_the_response(endpoint: Endpoint, lines: list[str]) -> None:
    endpoint.answers = [lines]
    (failure,) = await steps(ChatCompletions(endpoint.url, "m"), user("x"))
    assert isinstance(failure, Fail)
    assert "secret" not in failure.message


async def test_refusal_and_absence_fail_the_response(endpoint: Endpoint) -> None:
    endpoint.status = 404
    assert await steps(ChatCompletions(endpoint.url, "m"), user("x")) == [Fail("no_model", "No such model.")]
    (failure,) = await steps(ChatCompletions("http://127.0.0.1:9/v1", "m"), user("x"))
    assert failure.code == "server_error"


async def test_interruption_closes_the_request(start: Any, connect: Any, endpoint: Endpoint, sounds: Any) -> None:
    endpoint.answers = [[{"content": "A long story. "}, asyncio.Event()]]
    async with start(brain=ChatCompletions(endpoint.url, "m")) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.append(sounds.speech(300))
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "A long story."
        await asyncio.wait_for(endpoint.closed.wait(), 10)


def test_very_long_text_without_an_end_is_spoken_in_parts() -> None:
    from realtime_voice.server.chat import MAX_SENTENCE, _sentences

    *whole, rest = _sentences("word " * 200)
    assert rest == ""
    assert len(whole) == 1
    *whole, rest = _sentences("x" * (MAX_SENTENCE + 1))
    assert (whole, rest) == (["x" * (MAX_SENTENCE + 1)], "")


# --- chosen on the command line ---------------------------------------------------------------------------------------


def chosen(*options: str) -> Any:
    return brain_of(parser().parse_args(["serve", *options]))


def test_brain_is_chosen_by_options(script: Path) -> None:
    assert isinstance(chosen(), Assistant)
    assert isinstance(chosen("--script", str(script)), Scripted)
    assert isinstance(chosen("--brain", "scripted", "--script", str(script)), Scripted)
    assert isinstance(chosen("--chat-url", "http://h/v1", "--chat-model", "m"), ChatCompletions)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--brain", "scripted"], "needs --script"),
        (["--brain", "assistant", "--script", "x"], "--script is for"),
        (["--chat-model", "m"], "--chat-url and --chat-model are for"),
        (["--chat-url", "http://h"], "needs --chat-url URL and --chat-model"),
        (["--chat-url", "h", "--chat-model", "m"], "http://"),
        (["--script", "/nowhere.yaml"], "/nowhere.yaml: No such file"),
        (["--pace", "-1"], "pace must be"),
    ],
)
def test_wrong_options_are_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["serve", *options]) == 1
    assert words in capsys.readouterr().err
