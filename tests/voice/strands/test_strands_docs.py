"""What docs/strands.md shows can be run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from realtime_voice import TurnLatency, strands
from realtime_voice.strands.generation import installed

DOCS = Path(__file__).parents[3] / "docs" / "strands.md"
EXAMPLES: list[str] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


IMPORTS = [example for example in EXAMPLES if "=" not in example and "def " not in example]


@pytest.mark.parametrize("example", IMPORTS)
def test_an_example_imports_what_there_is(example: str) -> None:
    ours = example.rsplit("# after", maxsplit=1)[-1].partition("\n")[2] if "# after" in example else example
    names: dict[str, object] = {}
    exec(ours, names)  # noqa: S102
    imported = {name for name, value in names.items() if not name.startswith("__")}
    assert imported
    assert {names[name] for name in imported} <= {getattr(strands, name) for name in strands.__all__}


def test_a_model_whose_turns_are_found_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (example,) = (example for example in EXAMPLES if "local_turns" in example)
    names: dict[str, object] = {}
    exec(example, names)  # noqa: S102
    assert isinstance(names["model"], strands.BidiOpenAIRealtimeModel)
    assert isinstance(names["audio_io"], strands.BidiAudioIO)


async def test_an_output_that_shows_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (example for example in EXAMPLES if "show_wait" in example)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102
    wait = TurnLatency(response_id="r", item_id="i", speech_end_to_received_s=0.256)
    await names["show_wait"](strands.BidiSessionEvent(wait))
    await names["show_wait"]({"type": "bidi_usage"})
    assert capsys.readouterr().out == "first audio after 0.26 s\n"


@pytest.mark.skipif(installed() == "stable", reason="the names that the first generation had")
def test_the_names_before_are_those_of_the_first_generation() -> None:
    (example,) = (example for example in EXAMPLES if "# before" in example)
    before = example.split("# after")[0]
    exec(before.replace("import BidiAgent, BidiAudioIO, BidiTextIO", "import BidiAgent"), {})  # noqa: S102  PyAudio
