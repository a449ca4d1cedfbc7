"""A while with the card: nothing grows, nothing is lost. `bench/card_soak.py` does the same for half an hour."""

import pytest
from soak import Soak

pytestmark = [pytest.mark.card, pytest.mark.usefixtures("card")]

SECONDS = 60.0


@pytest.mark.timeout(300)
async def test_memory_and_what_waits_stay_as_they_are():
    rows = []
    await Soak().run(SECONDS, 6, rows.append)
    begun, end = rows[2], rows[-1]  # by then everything has been used once
    assert end["resident_kb"] - begun["resident_kb"] < 2048
    assert end["objects"] - begun["objects"] < 1000
    starved = end["device_underflows"] + end["device_overflows"] + end["missed_ms"] > 0
    assert end["overruns"] + end["dropped"] == 0 or starved
    # 100 to 260 ms wait as a rule: ten times as much is a loop that hangs, not one that is late
    assert max(row["most_ms"] for row in rows) < 3000 or starved
    assert end["heard_ms"] == pytest.approx(SECONDS * 1000, rel=0.1) or starved
