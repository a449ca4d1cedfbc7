"""Every example of docs/testing.md runs as it stands there."""

import re
from pathlib import Path

import pytest
from realtime_voice.server import Scripted

pytest_plugins = ["pytester"]

TEXT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
TITLES = ["connect", "openai", "strands", "script", "faults", "alone"]


@pytest.mark.timeout(180)  # a pytest of its own each
@pytest.mark.parametrize("code", PYTHON, ids=TITLES)
def test_example_runs(pytester, code):
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nasyncio_mode = 'auto'\n")
    if "def test_" in code:
        pytester.makepyfile(code)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:benchmark")
        result.assert_outcomes(passed=1)
    else:
        result = pytester.runpython(pytester.makepyfile(code))
        assert result.ret == 0
        result.stdout.fnmatch_lines(["ws://127.0.0.1:*/v1/realtime http://127.0.0.1:*/v1"])


def test_script_of_the_docs_is_one(tmp_path):
    (script,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "script.yaml"
    path.write_text(script)
    loaded = Scripted.load(path)
    assert len(loaded.rules) == 3
    assert list(loaded.mcp) == ["docs"]


def test_menu_of_the_docs_is_whole():
    from dataclasses import fields

    from realtime_voice.server import Faults

    menu = TEXT.partition("| fault |")[2].partition("\n\n")[0]
    assert all(f"`{field.name}" in menu for field in fields(Faults))
