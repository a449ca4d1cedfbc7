"""Cells of the fault matrix, against what docs/session.md says; `python -m tests.voice.resilience.matrix` runs all."""

from __future__ import annotations

import pytest

from tests.voice.resilience.matrix import FAULTS, STAGES, can_strike, documented, run

ALWAYS = ("reset", "black hole")
_stages = tuple(STAGES)
CELLS = [(fault, stage) for fault in ALWAYS for stage in STAGES]
# The rest once each, at a stage that wanders.
CELLS += [(fault, _stages[1 + place % (len(_stages) - 1)]) for place, fault in enumerate(FAULTS) if fault not in ALWAYS]


@pytest.mark.parametrize(("fault", "stage"), CELLS)
async def test_fault(fault: str, stage: str) -> None:
    outcome = await run(fault, stage)
    assert str(outcome) == documented()[fault, stage]


def test_the_page_tells_every_cell_and_no_loss() -> None:
    cells = documented()
    assert list(cells) == [(fault, stage) for fault in FAULTS for stage in STAGES]
    errors = {"ConnectError", "ConnectionClosed", "SessionTimeout", "ServerError"}
    for (fault, stage), outcome in cells.items():
        if not can_strike(fault, stage):
            assert outcome == "-"
        elif stage in {"connecting", "configuring"}:
            assert outcome in {"unharmed", "recovered", *errors}
        else:
            assert outcome in {"unharmed", "recovered"}
