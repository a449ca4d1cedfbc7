"""A session outlives its connections: renewal, loss, and what the application and the server see of it."""

from __future__ import annotations

from realtime_voice import Reconnected, Reconnecting, Renewed

from tests.voice.resilience.talk import Talk


async def test_renewal_before_the_limit_loses_and_doubles_nothing() -> None:
    async with Talk(timeout_s=1000.0) as talk:
        await talk.start()
        await talk.turn()
        talk.clock.step(799.0)
        talk.hear(500, loud=False)
        await talk.until(lambda: len(talk.peer.line.heard) >= 24 * 980)
        assert talk.session.generation == 1
        talk.clock.step(2.0)
        await talk.until(lambda: talk.session.generation == 2)
        (renewed,) = talk.happened(Renewed) or [None]
        await talk.turn()
        assert talk.account() == (0, 0, 0, 0)
        assert renewed.lost_samples == 0
        assert renewed.incoming_gap_s == 0.0


async def test_reset_is_survived_in_the_middle_of_what_the_user_says() -> None:
    async with Talk() as talk:
        await talk.start()
        await talk.turn()
        talk.begin_turn()
        await talk.arrived()
        talk.proxy.link.cut()
        await talk.until(lambda: talk.session.generation == 2)
        talk.end_turn()
        await talk.answer()
        assert talk.account() == (0, 0, 0, 0)
        assert talk.is_in_order
        assert len(talk.happened(Reconnecting)) == 1
        (back,) = talk.happened(Reconnected)
        assert back.replayed_samples >= 24 * 120
        assert back.lost_samples == 0
