"""Which generation of Strands' bidirectional agents is installed."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Final, Literal

SUPPORTED: Final = "strands-agents 1.58 and newer, or 1.28 to 1.54"
"""The releases that are known; those between them rename half of the interface at a time."""


def installed() -> Literal["stable", "experimental"]:
    """Return the generation: `strands.bidi` or `strands.experimental.bidi`.

    Raises ImportError that names the supported releases when there is none, or another.
    """
    try:
        version = importlib.metadata.version("strands-agents")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"realtime_voice.strands needs {SUPPORTED}: pip install 'realtime-core[strands]'") from None
    generation = generation_of(version)
    if generation is None:
        raise ImportError(
            f"realtime_voice.strands needs {SUPPORTED}; installed is {version}: "
            "pip install --upgrade 'realtime-core[strands]'"
        )
    return generation


def generation_of(version: str) -> Literal["stable", "experimental"] | None:
    """Return the generation that a release of strands-agents has; None for one that is not supported."""
    release = re.match(r"(\d+)\.(\d+)", version)
    numbers = (int(release[1]), int(release[2])) if release else (0, 0)
    if numbers >= (1, 58):
        return "stable"
    return "experimental" if (1, 28) <= numbers <= (1, 54) else None
