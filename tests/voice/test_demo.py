"""The demo, as a whole and in its judgement."""

import asyncio
import io
import wave
import xml.etree.ElementTree as ET

import pytest
from realtime_voice import demo as module
from realtime_voice.audio import VirtualAudioIO
from realtime_voice.console import Console
from realtime_voice.demo import SCRIPT, demo
from realtime_voice.events import Interrupted
from realtime_voice.talk import Conversation


async def test_the_conversation_is_held_heard_and_drawn(tmp_path, capsys):
    assert await demo(tmp_path, agent="session") == 0
    shown = capsys.readouterr().out
    for words in (
        "“what is twelve times seven”",
        'calculator(expression="12 * 7")',
        "→ 84",
        "first audio played",
        "cut  heard ",
        "stop_conversation()",
        "is heard 84 and 25",
        "answer.wav",
        "timeline.svg",
    ):
        assert words in shown
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getnframes() > 10 * file.getframerate()
    picture = (tmp_path / "timeline.svg").read_text()
    ET.fromstring(picture)  # noqa: S314 - our own
    assert "s heard</text>" in picture


async def test_an_interrupted_demo_is_not_a_success(tmp_path):
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, stop.set)
    assert await demo(tmp_path, agent="session", stop=stop) == 130
    with wave.open(str(tmp_path / "answer.wav")):
        pass


@pytest.fixture
async def course():
    audio = VirtualAudioIO()
    course = module._Course(Conversation(audio, Console(io.StringIO()), "t"), audio)
    course.calls = [("calculator", "12*7"), ("calculator", "20+5"), ("stop_conversation", "")]
    course.results = ["84", "Result: 25", "ended"]
    course.interruptions = [
        Interrupted(item_id="a", content_index=0, played_ms=2000, received_ms=9000, heard="one", full="one two")
    ]
    return course


def judged(course, tmp_path, numbers=(12, 7, 84, 1, 2, 20, 5, 25)):
    return module._checks(course, list(numbers), tmp_path / "answer.wav", Console(io.StringIO()))


async def test_a_right_conversation_is_judged_right(course, tmp_path):
    assert judged(course, tmp_path) == []


@pytest.mark.parametrize("numbers", [[], [84], [25, 84], [12, 7, 85, 25]])
async def test_wrong_numbers_heard_are_a_failure(course, tmp_path, numbers):
    (failure,) = judged(course, tmp_path, numbers)
    assert "[84, 25] are not the numbers" in failure


async def test_wrong_arguments_are_a_failure(course, tmp_path):
    course.calls[0] = ("calculator", "12*8")
    (failure,) = judged(course, tmp_path)
    assert "the calculator was asked ['12*8', '20+5']" in failure


async def test_a_wrong_result_is_a_failure(course, tmp_path):
    course.results[1] = "26"
    assert judged(course, tmp_path) == ["no tool gave 25 for 20+5"]


async def test_an_answer_heard_to_its_end_is_a_failure(course, tmp_path):
    course.interruptions.clear()
    assert judged(course, tmp_path) == ["no answer was cut short"]


async def test_what_does_not_happen_is_named(course, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    with pytest.raises(module.DemoFailure, match="the moon did not happen"):
        await course.until("the moon", lambda: False)


def test_every_line_has_its_recording():
    for line in SCRIPT:
        pcm, rate = module._speech(line.file)
        assert 0.5 < len(pcm) / 2 / rate < 3.0
