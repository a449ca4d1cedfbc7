"""A pytest plugin for Strands' own integration tests: our model in place of theirs, the local server in OpenAI's place.

Their tests of hooks and of sessions that are kept are for Amazon's model, which an agent has by default; ours is in its
place, too. What they have Amazon Polly say is said by the local server's voice and heard by its speech detector. What
was said is known then, and what is answered is in a script.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
import strands.bidi.models
from realtime_voice.server import Call, Heard, Rule, Say, Scripted
from realtime_voice.strands import BidiOpenAIRealtimeModel

if TYPE_CHECKING:
    from realtime_voice.pytest_plugin import RealtimeTestServer

strands.bidi.models.OpenAIRealtimeModel = BidiOpenAIRealtimeModel
strands.bidi.models.GoogleGeminiLiveModel = None  # its library is not installed; its tests are left out


class DefaultModel(BidiOpenAIRealtimeModel):
    """Ours where theirs is of another provider."""

    def __init__(self, model_id: str, region: str = "") -> None:
        super().__init__(model_id)


amazon: Any = types.ModuleType("strands.bidi.models.bedrock")
amazon.BedrockNovaSonicModel = DefaultModel
sys.modules[amazon.__name__] = amazon

MULTIPLICATION = {"operation": "multiply", "x": "{x}", "y": "{y}"}
MIND = Scripted(
    [
        Rule(says=r"multiply (?P<x>[\w ]+) by (?P<y>\w+)", do=[Call("calculator", MULTIPLICATION)]),
        Rule(result="calculator", do=[Say("It is {result}.")]),
        Rule(image=True, do=[Say("Yellow.")]),
        Rule(do=[Say("I can hear you, and I am the agent that is tested.")]),
    ]
)


class Ears:
    """Understand each turn as the next sentence that was said."""

    said: list[str]

    def listen(self, tools: Any) -> Ears:
        return self

    def accept(self, pcm: bytes) -> None:
        pass

    async def finish(self) -> Heard:
        return Heard(self.said.pop(0))

    def cancel(self) -> None:
        pass


class Speaker:
    """Says what their generator of audio says."""

    def __init__(self, server: RealtimeTestServer, ears: Ears) -> None:
        self._server = server
        self._ears = ears

    async def generate_audio(self, text: str) -> bytes:
        self._ears.said.append(text)
        return self._server.speech(text, 24_000)

    def create_audio_input_event(self, audio_data: bytes) -> dict[str, Any]:
        return {"audio_delta": {"format": "pcm", "source": {"bytes": audio_data}}}


EARS = Ears()


@pytest.fixture(autouse=True)
def audio_generator(realtime_server: RealtimeTestServer, monkeypatch: pytest.MonkeyPatch) -> Speaker:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")  # their tests look whether there is one
    EARS.said = []
    return Speaker(realtime_server, EARS)


@pytest.fixture
def yellow_img(request: pytest.FixtureRequest) -> bytes:
    return (request.config.rootpath / "tests_integ/resources/yellow.png").read_bytes()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the local server hear and think like this in each test."""
    for item in items:
        item.add_marker(pytest.mark.realtime_server(recognizer=EARS, brain=MIND))
