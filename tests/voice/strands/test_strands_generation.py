"""Which releases of Strands are known, and what is said of the others."""

from __future__ import annotations

import importlib.metadata

import pytest
from realtime_voice.strands import generation


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.27.0", None), ("1.28.0", "experimental"), ("1.54.0", "experimental"), ("1.55.1", None), ("1.57.2", None),
        ("1.58.0", "stable"), ("1.62.0", "stable"), ("2.0.0rc1", "stable"), ("0.9", None), ("dev", None),
    ],
)  # fmt: skip
def test_generation_of_a_release(version: str, expected: str | None) -> None:
    assert generation.generation_of(version) == expected


def test_an_unknown_release_is_told_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.56.0")
    with pytest.raises(ImportError, match=r"1\.58 and newer, or 1\.28 to 1\.54; installed is 1\.56\.0: pip install"):
        generation.installed()


def test_no_release_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ImportError, match=r"pip install 'realtime-core\[strands\]'"):
        generation.installed()
