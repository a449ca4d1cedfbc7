"""A conversation through a sound card: speech into its microphone, and the answer out of its speaker."""

import asyncio
from importlib import resources

import pytest
from realtime_voice import AgentTranscript, UserTranscript, connect, tool
from realtime_voice.audio import DeviceAudioIO, PlayoutDrained, WavWriter
from realtime_voice.events import ToolResult
from realtime_voice.server import recognize_numbers, serve
from virtual_card import PATIENCE_S, RATE, Recording, speaking

pytestmark = [pytest.mark.card, pytest.mark.usefixtures("card")]

QUESTION = resources.files("realtime_voice") / "data" / "speech" / "what_is_twelve_times_seven.wav"


@tool
def calculator(expression: str) -> str:
    """Work out a product."""
    left, right = expression.split("*")
    return str(int(left) * int(right))


async def answered(session):
    """Follow the session until the answer with the tool's result has been spoken."""
    events = []
    async with asyncio.timeout(2 * PATIENCE_S):
        async for event in session:
            events.append(event)
            if isinstance(event, PlayoutDrained) and any(isinstance(earlier, ToolResult) for earlier in events):
                return events
    raise AssertionError("the session ended first")


async def test_a_spoken_question_is_answered_aloud(tmp_path):
    audio = DeviceAudioIO(echo_control=None)  # the card has no echo, and digital silence
    with Recording() as recording:
        async with serve() as server, connect(base_url=server.url, tools=[calculator], audio=audio) as session:
            with speaking(QUESTION):
                events = await answered(session)
            stats = audio.duplex.stats()
        await recording.silence()
        with WavWriter(tmp_path / "answer.wav", RATE) as file:
            file.write(recording.samples().tobytes())
    assert [event.text for event in events if isinstance(event, UserTranscript) and event.final] == [
        "what is twelve times seven"
    ]
    assert [event.output for event in events if isinstance(event, ToolResult)] == ["84"]
    assert any(isinstance(event, AgentTranscript) and event.final for event in events)
    heard = await asyncio.to_thread(recognize_numbers, tmp_path / "answer.wav")
    # Speech with holes of a starved machine is not understood.
    assert 84 in heard or stats["device_underflows"] > 0, stats
