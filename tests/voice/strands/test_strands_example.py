"""The example: the program it is meant to be, run as it is against the local server."""

from __future__ import annotations

import ast
import asyncio
import random
import runpy
from pathlib import Path
from typing import Any

import pytest
from realtime_voice.audio import VirtualAudioIO, device

EXAMPLE = Path(__file__).parents[3] / "examples" / "strands_agent.py"
SOMETHING = random.Random(0).randbytes(24000)
SEED = """
async def main() -> None:
    model = BidiOpenAIRealtimeModel(
        model_id="gpt-realtime",
        provider_config={"audio": {"voice": "coral"}},
        client_config={"api_key": "<OPENAI_API_KEY>"},
    )
    # stop_conversation tool allows user to verbally stop agent execution.
    agent = BidiAgent(model=model, tools=[calculator, stop_conversation])
    audio_io = BidiAudioIO()
    text_io = BidiTextIO()
    await agent.run(inputs=[audio_io.input()], outputs=[audio_io.output(), text_io.output()])
"""


def test_the_example_is_the_seed_program() -> None:
    text = EXAMPLE.read_text()
    main = next(node for node in ast.parse(text).body if isinstance(node, ast.AsyncFunctionDef))
    assert ast.get_source_segment(text, main) == SEED.strip()


@pytest.mark.filterwarnings("ignore:calculator is deprecated:DeprecationWarning")
async def test_the_example_runs_against_a_local_server(
    local_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is; only the sound devices are virtual ones."""
    heard = bytearray()
    audio = VirtualAudioIO(rate=24000, speed=4.0, heard=heard.extend)
    monkeypatch.setattr(device, "DeviceAudioIO", lambda **_: audio)
    async with local_server("what is twelve times fifteen", "stop conversation") as server:
        monkeypatch.setenv("OPENAI_REALTIME_URL", server.url)
        main = runpy.run_path(str(EXAMPLE))["main"]
        program = asyncio.create_task(main())
        audio.say(SOMETHING, 24000)
        shown = ""
        async with asyncio.timeout(30):
            while "one hundred eighty" not in shown or audio.playout.active:
                assert not program.done(), program.exception()
                await asyncio.sleep(0.05)
                shown += capsys.readouterr().out
            audio.say(SOMETHING, 24000)
            await program
    shown += capsys.readouterr().out
    assert "tool: calculator(expression='12 * 15')" in shown
    assert "agent: twelve times fifteen is one hundred eighty." in shown
    assert "user: stop conversation" in shown
    assert "the conversation has ended" in shown
    assert any(heard)
