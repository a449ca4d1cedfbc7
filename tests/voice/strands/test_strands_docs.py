"""What docs/strands.md shows can be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from realtime_voice import strands
from realtime_voice.strands.generation import installed

DOCS = Path(__file__).parents[3] / "docs" / "strands.md"
EXAMPLES: list[str] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_imports_what_there_is(example: str) -> None:
    ours = example.rsplit("# after", maxsplit=1)[-1].partition("\n")[2] if "# after" in example else example
    names: dict[str, object] = {}
    exec(ours, names)  # noqa: S102
    imported = {name for name, value in names.items() if not name.startswith("__")}
    assert imported
    assert {names[name] for name in imported} <= {getattr(strands, name) for name in strands.__all__}


@pytest.mark.skipif(installed() == "stable", reason="the names that the first generation had")
def test_the_names_before_are_those_of_the_first_generation() -> None:
    before = EXAMPLES[-1].split("# after")[0]
    exec(before.replace("import BidiAgent, BidiAudioIO, BidiTextIO", "import BidiAgent"), {})  # noqa: S102  PyAudio
