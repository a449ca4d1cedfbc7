"""The pytest plugin: a server per test, what a user says, what is expected of the agent."""

import asyncio
import json
import os
import re
import threading

import pytest
import websockets
import websockets.sync.client
from realtime_voice import connect, tool
from realtime_voice.audio import PushAudioIO
from realtime_voice.server import Call, Faults, Rule, Say, Scripted

pytest_plugins = ["pytester"]

RULES = [
    Rule(says="weather in (?P<city>[a-z]+)", do=[Call("get_weather", {"city": "{city}"})]),
    Rule(result="get_weather", do=[Say("It is {result}.")]),
    Rule(says="count", do=[Say("one two three four five six seven eight nine ten " * 20)]),
    Rule(do=[Say("You said {said}.")]),
]


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny and 25 degrees in {city}"


async def agent():
    """An agent as users write it: it finds the server by the environment."""
    async with connect(tools=[get_weather], audio=PushAudioIO()) as session:
        async for _ in session:
            pass


@pytest.fixture
async def running():
    task = asyncio.create_task(agent())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.realtime_server(brain=Scripted(RULES))
async def test_a_conversation_with_a_tool(realtime_server, running):
    assert os.environ["OPENAI_REALTIME_URL"] == realtime_server.url
    await realtime_server.say("What is the weather in Oslo?")
    call = await realtime_server.expect_tool("get_weather", city="Oslo")
    assert "sunny and 25 degrees" in call.output
    spoken = await realtime_server.expect_spoken("It is sunny and twenty five DEGREES in oslo")
    assert spoken.status == "completed"
    assert len(spoken.audio) > 48_000
    await realtime_server.say("thanks")
    await realtime_server.expect_spoken(re.compile(r"^You said th\w+s\.$"))
    kinds = [event["type"] for sender, event in realtime_server.events if sender == "server"]
    assert kinds.count("input_audio_buffer.speech_started") == 2
    assert realtime_server.sent_audio.startswith(spoken.audio)


@pytest.mark.realtime_server(brain=Scripted(RULES), pace=1)
async def test_interruption(realtime_server, running):
    await realtime_server.say("count")
    await asyncio.sleep(0.2)
    await realtime_server.say("never mind")
    assert (await realtime_server.expect_spoken("one two")).status == "incomplete"
    assert (await realtime_server.expect_spoken("You said never mind")).status == "completed"


@pytest.mark.realtime_server(faults=Faults(drop_at=2))
def test_plain_tests_wait(realtime_server):
    headers = {"Authorization": f"Bearer {realtime_server.api_key}"}
    with websockets.sync.client.connect(f"{realtime_server.url}?model=m", additional_headers=headers) as socket:
        assert json.loads(socket.recv(10))["type"] == "session.created"
        socket.send('{"type":"session.update","session":{"type":"realtime"}}')
        with pytest.raises(websockets.ConnectionClosed):
            socket.recv(10)


def test_spoken_audio_is_understood(realtime_server):
    pcm = realtime_server.speech("what is twelve times seven")
    headers = {"Authorization": f"Bearer {realtime_server.api_key}"}

    def speak():
        with websockets.sync.client.connect(f"{realtime_server.url}?model=m", additional_headers=headers) as socket:
            import base64

            socket.recv(10)
            for at in range(0, len(pcm), 4800):
                audio = base64.b64encode(pcm[at : at + 4800]).decode()
                socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            audio = base64.b64encode(bytes(48_000)).decode()
            socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            while json.loads(socket.recv(10))["type"] != "response.done":
                pass

    speaking = threading.Thread(target=speak)
    speaking.start()
    spoken = realtime_server.expect_spoken("12 times 7").wait()
    speaking.join(10)
    assert "no tool that can calculate" in spoken.text
    assert realtime_server.received_audio.startswith(pcm)


async def test_what_does_not_happen_says_what_did(realtime_server, running):
    await realtime_server.say("hello")
    with pytest.raises(AssertionError, match=r"expected 'bye' to be spoken within 1.5 s; there was\n.*Hello!"):
        await realtime_server.expect_spoken("bye", timeout=1.5)
    with pytest.raises(AssertionError, match=r"a call of f\(a=1\) .* nothing of the kind"):
        await realtime_server.expect_tool("f", a=1, timeout=0.1)
    waiting = realtime_server.expect_tool("f", timeout=0.1)
    with pytest.raises(AssertionError, match="would hold up this event loop"):
        waiting.wait()


def test_wrong_event_of_an_agent_is_answered(realtime_server):
    headers = {"Authorization": f"Bearer {realtime_server.api_key}"}
    with websockets.sync.client.connect(f"{realtime_server.url}?model=m", additional_headers=headers) as socket:
        assert "session.created" in socket.recv(timeout=20)
        socket.send('{"type": "input_audio_buffer.append", "audio": 5}')
        assert "invalid_type" in socket.recv(timeout=20)


async def test_say_without_an_agent(realtime_server):
    with pytest.raises(AssertionError, match=r"nobody connected within 0\.1 s"):
        await realtime_server.say("hello", timeout=0.1)


def test_what_is_never_waited_for_fails_the_test(pytester):
    pytester.makepyfile(
        """
        def test_forgets(realtime_server):
            realtime_server.expect_tool("f")
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*never waited for: a call of f() (await it, or call .wait())*"])
