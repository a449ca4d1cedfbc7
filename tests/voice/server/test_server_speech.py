"""Real ears, real voice, the default mind: spoken turns through the whole server, and the speech worker itself."""

import asyncio
import importlib.resources
import wave
from pathlib import Path
from typing import Any

import pytest
from realtime_voice.audio.wav import read_wav
from realtime_voice.server import RecognitionError, SynthesisError, recognize_file, recognize_numbers, serve
from realtime_voice.server.ears import Ears
from realtime_voice.server.pool import SpeechPool
from realtime_voice.server.speech import SpeechProcess
from realtime_voice.server.voice import WordBankVoice
from realtime_voice.server.worker import resampled

SENTENCES = ("what is twelve times seven", "count to thirty", "what is twenty plus five", "stop conversation")
TOOLS = [
    {
        "type": "function", "name": "calculator", "description": "Calculator powered by SymPy.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
    {"type": "function", "name": "stop_conversation", "description": "Stop the conversation.", "parameters": {}},
]  # fmt: skip


def sentence_path(sentence: str) -> Path:
    data = importlib.resources.files("realtime_voice") / "data" / "speech"
    return Path(str(data / f"{sentence.replace(' ', '_')}.wav"))


async def ask(client: Any, sentence: str) -> dict[str, Any]:
    """Say a sentence; return the response to it."""
    pcm, _ = read_wav(sentence_path(sentence), 24_000)
    await client.append(bytes(48 * 300) + pcm + bytes(48 * 900))
    heard = await client.until("conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == sentence
    response: dict[str, Any] = (await client.until("response.done"))["response"]
    return response


async def test_spoken_conversation(connect: Any, tmp_path: Path) -> None:
    async with serve(pace=0) as server, connect(server) as client:
        await client.until("session.created")
        await client.update(tools=TOOLS, audio={"input": {"transcription": {"model": "whisper-1"}}})

        call = (await ask(client, "what is twelve times seven"))["output"][0]
        assert (call["name"], call["arguments"]) == ("calculator", '{"expression":"12 * 7"}')
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '[{"text": "Result: 84"}]'}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        answer = (await client.until("response.done"))["response"]["output"][0]
        assert answer["content"][0]["transcript"] == "twelve times seven is eighty four."

        with wave.open(str(tmp_path / "answer.wav"), "wb") as recording:
            recording.setparams((1, 2, 24_000, 0, "NONE", ""))
            recording.writeframes(client.checker.audio(answer["id"]))
        assert recognize_numbers(tmp_path / "answer.wav") == [12, 7, 84]

        counted = (await ask(client, "count to thirty"))["output"][0]["content"][0]["transcript"]
        assert counted.startswith("one, two, three")
        assert counted.endswith("thirty.")
        call = (await ask(client, "stop conversation"))["output"][0]
        assert (call["name"], call["arguments"]) == ("stop_conversation", "{}")


@pytest.mark.parametrize("sentence", SENTENCES)
def test_demo_sentences_are_understood(sentence: str) -> None:
    assert recognize_file(sentence_path(sentence), TOOLS) == [sentence]


def test_every_turn_is_heard_from_the_same_start() -> None:
    """What a decoder has learned of one turn's sound does not colour the next, nor is the first turn worse off."""
    ears = Ears()
    decoders = (ears._words, ears._phones)
    ears.start(TOOLS)
    fresh = [decoder.get_cmn(False) for decoder in decoders]
    ears.accept(bytes(range(256)) * 250)
    ears.finish()
    ears.start(TOOLS)
    assert [decoder.get_cmn(False) for decoder in decoders] == fresh
    ears.accept(read_wav(sentence_path("count to thirty"), 16_000)[0] + bytes(16_000))
    assert ears.finish().text == "count to thirty"


def test_what_is_no_speech_is_rejected() -> None:
    ears = Ears()
    assert _hear(ears, bytes(range(256)) * 250).text == ""
    assert _hear(ears, bytes(32_000)).text == ""


def _hear(ears: Ears, pcm: bytes) -> Any:
    ears.start(TOOLS).accept(pcm)
    return ears.finish()


def test_ears_hear_the_tools_of_the_session() -> None:
    """A tool's own phrase is heard only in a session that has it."""
    tool = {
        "type": "function", "name": "count_hours",
        "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    }  # fmt: skip
    ears = Ears()
    assert ears.knows("hours")
    assert not ears.knows("qzxv")
    pcm, _ = read_wav(sentence_path("count to thirty"), 16_000)
    assert _hear(ears, bytes(9600) + pcm + bytes(9600)).text == "count to thirty"
    ears.start([tool, {"type": "function", "name": "qzxv_now"}]).accept(bytes(3200))
    assert ears.finish().text == ""


def test_word_bank_is_heard_and_says_what_it_cannot_speak() -> None:
    voice = WordBankVoice()
    speech = voice.speak("Twelve times 7 is eighty-four, zebra!", "any", 1.0)
    assert speech.unspoken == ("zebra",)
    ears = Ears()
    ears.start([]).accept(bytes(9600) + voice.speak("what is", "any", 1.0).pcm)
    ears.cancel()
    ears.start([]).accept(bytes(9600) + voice.speak("twelve times seven", "any", 1.0).pcm + bytes(9600))
    assert ears.finish().text == "twelve times seven"


def test_resampled_keeps_length_and_place() -> None:
    pcm = bytes(2 * 16_000)
    assert abs(len(resampled(pcm, 16_000, 24_000)) // 2 - 24_000) <= 64
    assert resampled(pcm, 16_000, 16_000) is pcm
    assert resampled(b"", 22_050, 24_000) == b""


@pytest.fixture
async def worker() -> Any:
    speech = SpeechProcess("words")
    await speech.start()
    yield speech
    await speech.stop()


async def test_worker_speaks_and_hears(worker: SpeechProcess) -> None:
    assert worker.voice_name == "word bank"
    speech = await worker.speak("twelve times seven", rate=16_000, voice="alloy", speed=1.0)
    hearing = worker.listen([])
    hearing.accept(bytes(9600) + speech.pcm)
    other = worker.listen([])
    other.accept(bytes(9600) + speech.pcm)
    other.cancel()
    hearing.accept(bytes(9600))
    assert (await hearing.finish()).text == "twelve times seven"
    wrong = await worker.speak("zebra", rate=8_000, voice="alloy", speed=1.0)
    assert (wrong.pcm, wrong.unspoken) == (b"", ("zebra",))


async def test_work_goes_to_the_idlest_worker() -> None:
    pool = SpeechPool([SpeechProcess("words"), SpeechProcess("words")])
    await pool.start()
    try:
        first, second = pool.listen([]), pool.listen([])
        assert [worker.load for worker in pool.workers] == [1, 1]
        first.cancel()
        first.cancel()
        assert [worker.load for worker in pool.workers] == [0, 1]
        assert (await pool.speak("seven", rate=16_000, voice="alloy", speed=1.0)).pcm
        third = pool.listen([])
        assert [worker.load for worker in pool.workers] == [1, 1]
        for hearing in (second, third):
            hearing.accept(bytes(3200))
            assert (await hearing.finish()).text == ""
        assert [worker.load for worker in pool.workers] == [0, 0]
        assert pool.voice_name == "word bank"
    finally:
        await pool.stop()


async def test_pool_that_cannot_start_leaves_nothing_running() -> None:
    pool = SpeechPool([SpeechProcess("words"), SpeechProcess("nobody")])
    with pytest.raises(RuntimeError, match="no voice 'nobody'"):
        await pool.start()
    assert pool.workers[0]._process is None


async def test_worker_that_dies_fails_its_turn_and_is_replaced(worker: SpeechProcess) -> None:
    hearing = worker.listen([])
    hearing.accept(bytes(3200))
    finish = asyncio.create_task(hearing.finish())
    await asyncio.sleep(0)
    assert worker._process is not None
    worker._process.kill()
    with pytest.raises(RecognitionError):
        await finish
    assert (await worker.speak("seven", rate=16_000, voice="alloy", speed=1.0)).pcm
    assert worker.restarts == 1


async def test_worker_ends_with_the_server() -> None:
    speech = SpeechProcess("words")
    await speech.start()
    process = speech._process
    assert process is not None
    await speech.stop()
    await speech.stop()
    assert process.returncode == 0
    with pytest.raises(SynthesisError):
        await speech.speak("seven", rate=16_000, voice="alloy", speed=1.0)
    with pytest.raises(RecognitionError):
        await speech.listen([]).finish()
