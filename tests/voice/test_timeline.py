"""The timeline: what is observed becomes spans, and spans become a picture that is valid SVG."""

import xml.etree.ElementTree as ET

import pytest
from realtime_voice import timeline as module
from realtime_voice.audio import PlayoutDrained, PlayoutStarted, SpeechStarted, SpeechStopped
from realtime_voice.events import AgentTranscript, Interrupted, ToolCall, ToolResult, TurnLatency, UserTranscript
from realtime_voice.timeline import Span, Timeline, TimelineBuilder, call

SVG = "{http://www.w3.org/2000/svg}"


def user(text):
    return UserTranscript(item_id="u", delta="", text=text, final=True)


def agent(item, text, *, final=True):
    return AgentTranscript(response_id="r", item_id=item, content_index=0, delta="", text=text, final=final)


def conversation():
    builder = TimelineBuilder("a < b & c")
    for event, time in (
        (SpeechStarted(0, 10.0), 10.1),
        (SpeechStopped(0, 12.0), 12.2),
        (user("what is twelve times seven"), 12.3),
        (ToolCall(call_id="c", name="calculator", arguments={"expression": "12 * 7"}), 12.3),
        (ToolResult(call_id="c", name="calculator", output="84"), 12.4),
        (TurnLatency(response_id="r", item_id="a", speech_end_to_received_s=0.5, speech_end_to_played_s=0.6), 12.6),
        (PlayoutStarted("a", 12.6), 12.6),
        (agent("a", "eighty", final=False), 12.7),
        (agent("a", "eighty four"), 12.8),
        (SpeechStarted(0, 13.9), 14.0),
        (
            Interrupted(
                item_id="a", content_index=0, played_ms=1400, received_ms=3000, heard="eighty", full="eighty four"
            ),
            14.0,
        ),
        (PlayoutDrained("a", 14.0), 14.0),
        (agent("a", "eighty four"), 14.1),
        (object(), 14.1),
    ):
        builder.observe(event, time)
    return builder.timeline


def test_spans_say_who_did_what_when():
    first, tool, answer, second = conversation().spans
    assert first == Span("user", 10.0, 12.0, "what is twelve times seven")
    assert tool == Span("tool", 12.3, 12.4, 'calculator(expression="12 * 7") → 84')
    assert answer == Span("agent", 12.6, 14.0, "eighty", full_s=3.0, wait_s=0.6)
    assert second == Span("user", 13.9, 13.9)


def test_pauses_within_what_was_said_do_not_split_it():
    builder = TimelineBuilder("t")
    builder.observe(SpeechStarted(0, 1.0), 1.0)
    builder.observe(SpeechStopped(0, 1.5), 1.7)
    builder.observe(SpeechStarted(0, 1.8), 1.9)
    builder.observe(user("one two"), 2.6)  # the transcript may come before the local end
    builder.observe(SpeechStopped(0, 2.4), 2.7)
    assert builder.timeline.spans == [Span("user", 1.0, 2.4, "one two")]


def test_typed_text_has_a_place_too():
    builder = TimelineBuilder("t")
    builder.observe(user("typed"), 3.0)
    assert builder.timeline.spans == [Span("user", 3.0, 3.0, "typed")]


def test_the_drawing_is_valid_svg_with_every_word_and_the_cut():
    timeline = conversation()
    for step in range(500):
        timeline.hear(9.5 + step * 0.01, -10.0 if step % 7 else -40.0, -20.0)
    root = ET.fromstring(timeline.svg())  # noqa: S314 - our own
    words = " ".join(text.text or "" for text in root.iter(f"{SVG}text"))
    assert root.find(f"{SVG}title").text == "a < b & c"
    for part in ("what is twelve times seven", "→ 84", "eighty", "cut: 1.4 s of 3.0 s heard", "600 ms to answer"):
        assert part in words
    width = float(root.get("width"))
    for rectangle in root.iter(f"{SVG}rect"):
        assert float(rectangle.get("width")) >= 0
        assert float(rectangle.get("x") or 0) + float(rectangle.get("width")) <= width
    assert "prefers-color-scheme: dark" in timeline.svg()


def test_nothing_and_very_much_can_be_drawn():
    ET.fromstring(Timeline().svg())  # noqa: S314
    long = Timeline(spans=[Span("agent", float(i), i + 0.9, "word " * 40) for i in range(2000)])
    root = ET.fromstring(long.svg())  # noqa: S314
    assert float(root.get("width")) < 3000


def test_levels_closer_than_a_step_keep_the_louder():
    timeline = Timeline()
    timeline.hear(1.00, -30.0, -60.0)
    timeline.hear(1.01, -20.0, -70.0)
    timeline.hear(1.05, -50.0, -50.0)
    assert [(level.user_db, level.agent_db) for level in timeline.levels] == [(-20.0, -60.0), (-50.0, -50.0)]


def test_levels_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "LEVELS_KEPT", 3)
    timeline = Timeline()
    for second in range(10):
        timeline.hear(float(second), -30.0, -30.0)
    assert [level.time for level in timeline.levels] == [0.0, 1.0, 2.0]


def test_what_is_saved_is_loaded_and_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "kept.json"
    timeline = conversation()
    timeline.save(path)
    assert Timeline.load(path) == timeline
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"kept\.json is not a saved timeline"):
        Timeline.load(path)


def test_a_call_is_written_as_in_python():
    assert call("f", {"a": 1, "b": "x"}) == 'f(a=1, b="x")'
    assert call("f", {}) == "f()"
