"""Options of the Strands model: what is allowed, what is refused and how, and the session they make."""

from __future__ import annotations

import pytest
from realtime_voice.audio import Wire
from realtime_voice.strands import config


@pytest.mark.parametrize(
    ("provider", "named", "allowed"),
    [
        ([], "provider_config", "audio, inference"),
        ({"audoi": {}}, "provider_config", "audio, inference"),
        ({"audio": "loud"}, "provider_config['audio']", "a dict"),
        ({"audio": {"rate": 16000}}, "'rate'", "input_rate, output_rate, channels, format, voice"),
        ({"audio": {"input_rate": 7999}}, "['input_rate']", "8000 to 192000"),
        ({"audio": {"output_rate": 192001}}, "['output_rate']", "8000 to 192000"),
        ({"audio": {"input_rate": 16000.0}}, "['input_rate']", "whole number"),
        ({"audio": {"input_rate": True}}, "['input_rate']", "whole number"),
        ({"audio": {"input_rate": None}}, "['input_rate']", "whole number"),
        ({"audio": {"channels": 3}}, "['channels']", "1 or 2"),
        ({"audio": {"channels": True}}, "['channels']", "1 or 2"),
        ({"audio": {"format": "mp3"}}, "['format']", "'pcm', 'pcmu' or 'pcma'"),
        ({"audio": {"voice": ""}}, "['voice']", "name of a voice"),
        ({"audio": {"voice": {"name": "x"}}}, "['voice']", "{'id': 'voice_...'}"),
        ({"inference": "fast"}, "['inference']", "a dict"),
        ({"inference": {1: 2}}, "['inference']", "session.update"),
        ({"inference": {"tools": {1, 2}}}, "['inference']", "JSON"),
        ({"inference": {"temperature": float("nan")}}, "['inference']", "JSON"),
        ({"inference": {"type": "transcription"}}, "['inference']['type']", "'realtime'"),
        ({"inference": {"audio": None}}, "provider_config['inference']['audio'] must", "a dict"),
        ({"inference": {"audio": {"input": "mic"}}}, "['inference']['audio']['input']", "a dict"),
    ],
)
def test_provider_config_refused(provider: object, named: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|must be") as caught:
        config.provider_options(provider)  # type: ignore[arg-type]
    assert named in str(caught.value)
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("client", "named", "allowed"),
    [
        ("key", "client_config", "api_key, organization, project, timeout_s, base_url"),
        ({"apikey": "x"}, "'apikey'", "api_key, organization, project, timeout_s, base_url"),
        ({"timeout_s": 0.99}, "['timeout_s']", "1 to 3000"),
        ({"timeout_s": 3001}, "['timeout_s']", "1 to 3000"),
        ({"timeout_s": "60"}, "['timeout_s']", "1 to 3000"),
        ({"timeout_s": float("nan")}, "['timeout_s']", "1 to 3000"),
        ({"timeout_s": True}, "['timeout_s']", "1 to 3000"),
        ({"organization": 7}, "['organization']", "a string or None"),
        ({"base_url": 7}, "['base_url']", "a string or None"),
    ],
)
def test_client_config_refused(client: object, named: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|must be") as caught:
        config.client_options(client)  # type: ignore[arg-type]
    assert named in str(caught.value)
    assert allowed in str(caught.value)


def test_key_is_never_shown() -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        config.client_options({"api_key": ["sk-secret"]})
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(config.client_options({"api_key": "sk-secret"}))


def test_session_of_the_defaults() -> None:
    audio, fields = config.provider_options({"audio": {"voice": "coral"}})
    session = config.session_config(audio, "whisper-1", "Be brief.", [{"type": "function", "name": "f"}], fields)
    assert session == {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "tools": [{"type": "function", "name": "f"}],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "whisper-1"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "coral"},
        },
    }


def test_inference_wins_at_every_depth_and_keeps_none() -> None:
    audio, fields = config.provider_options(
        {
            "audio": {"voice": "coral"},
            "inference": {
                "instructions": "",
                "tools": [],
                "tracing": None,
                "audio": {
                    "input": {"transcription": None, "turn_detection": {"threshold": 0.3}},
                    "output": {"voice": "sage", "speed": 1.2},
                },
            },
        }
    )
    session = config.session_config(audio, "whisper-1", "Be brief.", [{"type": "function", "name": "f"}], fields)
    assert session["instructions"] == ""
    assert session["tools"] == []
    assert session["tracing"] is None
    assert session["audio"]["input"]["transcription"] is None
    assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.3
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert session["audio"]["output"]["voice"] == "sage"
    assert session["audio"]["output"]["speed"] == 1.2


@pytest.mark.parametrize("detection", [None, {"type": "semantic_vad", "eagerness": "low"}])
def test_another_turn_detection_is_taken_as_it_is(detection: dict[str, str] | None) -> None:
    fields = config.session_fields("params", {"audio": {"input": {"turn_detection": detection}}})
    session = config.session_config(config.AudioOptions(), None, None, None, fields)
    assert session["audio"]["input"]["turn_detection"] == detection


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_both_ways(encoding: str) -> None:
    audio, fields = config.provider_options({"audio": {"format": encoding}})
    session = config.session_config(audio, None, None, None, fields)
    assert session["audio"]["input"]["format"] == {"type": f"audio/{encoding}"}
    assert session["audio"]["output"]["format"] == {"type": f"audio/{encoding}"}
    assert config.wires(audio, fields) == (Wire(encoding, 8000), Wire(encoding, 8000))  # type: ignore[arg-type]


def test_g711_one_way_by_inference() -> None:
    fields = config.session_fields("params", {"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    session = config.session_config(config.AudioOptions(), None, None, None, fields)
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert config.wires(config.AudioOptions(), fields) == (Wire("pcmu", 8000), Wire())


@pytest.mark.parametrize("audio_format", [{"rate": 48000}, {"rate": None}, {"type": "audio/mp3"}, {"type": None}])
@pytest.mark.parametrize("direction", ["input", "output"])
def test_formats_that_no_wire_has(direction: str, audio_format: dict[str, object]) -> None:
    fields = config.session_fields("params", {"audio": {direction: {"format": audio_format}}})
    with pytest.raises(ValueError, match=rf"Unsupported .*audio\.{direction}\.format"):
        config.wires(config.AudioOptions(), fields)


def test_merge_leaves_its_arguments_alone() -> None:
    base, over = {"a": {"b": [1]}}, {"a": {"c": [2]}}
    merged = config.merge(base, over)
    merged["a"]["b"].append(9)
    merged["a"]["c"].append(9)
    assert base == {"a": {"b": [1]}}
    assert over == {"a": {"c": [2]}}


def test_a_key_may_be_a_function() -> None:
    options = config.client_options({"api_key": lambda: "sk-1"})
    assert callable(options.api_key)
    assert "***" in repr(options)
    with pytest.raises(
        ValueError, match=r"client_config\['api_key'\] must be a string, a function that returns one or"
    ):
        config.client_options({"api_key": 7})


@pytest.mark.parametrize(
    ("detection", "interrupts"),
    [
        ({}, True),
        ({"turn_detection": {"type": "semantic_vad"}}, True),
        ({"turn_detection": {"interrupt_response": False}}, False),
        ({"turn_detection": None}, False),
    ],
)
def test_who_cancels_a_response(detection: object, interrupts: bool) -> None:
    assert config.server_interrupts({"audio": {"input": detection}}) == interrupts
    assert config.server_interrupts({})
