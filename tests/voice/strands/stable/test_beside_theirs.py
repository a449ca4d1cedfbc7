"""Where Strands' own classes fail, they are seen to, and ours beside them not to.

When the half that expects theirs to fail fails, Strands has mended it: then docs/strands.md is to say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.voice.strands.stable.beside_theirs import OURS, SCENES, THEIRS, Side

if TYPE_CHECKING:
    from tests.voice.strands.conftest import Peer


@pytest.mark.parametrize("side", [THEIRS, OURS], ids=repr)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_the_same_scene(scene: Any, side: Side, peer: Peer) -> None:
    outcome = await scene(side, peer)
    assert outcome.right == (side is OURS), outcome.seen
