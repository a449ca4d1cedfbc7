"""Delta messages against json, base64 and the resampler."""

import base64
import json
import random

import pytest

from realtime_core import DeltaDecoder, Resampler, Ring

IDS = {"response_id": "resp_1", "item_id": "item_2", "output_index": 3, "content_index": 4}


def pcm_of(samples: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(samples * 2)


def delta_message(pcm: bytes, **more) -> bytes:
    event = {"type": "response.output_audio.delta", "event_id": "event_0", **IDS}
    return json.dumps(event | {"delta": base64.b64encode(pcm).decode()} | more).encode()


@pytest.mark.parametrize("samples", [0, 1, 2, 480, 4800, 70_001])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
def test_delta_goes_to_the_ring(samples, kind):
    ring, pcm = Ring(1 << 17), pcm_of(samples)
    message = delta_message(pcm)
    delta = DeltaDecoder(ring, 24000).feed(kind(message))
    assert (delta.response_id, delta.item_id, delta.output_index, delta.content_index) == ("resp_1", "item_2", 3, 4)
    assert (delta.samples, delta.start, delta.end, delta.pcm) == (samples, 0, samples, None)
    assert ring.read(1 << 17) == pcm
    assert delta.audio == base64.b64encode(pcm).decode()


@pytest.mark.parametrize("gap", range(9))
def test_delta_wraps_around_the_ring(gap):
    ring = Ring(1024)
    ring.write(bytes(2 * (1024 - gap)))
    ring.read(1024)
    pcm = pcm_of(601, gap)
    delta = DeltaDecoder(ring, 24000).feed(delta_message(pcm))
    assert (delta.start, delta.end) == (1024 - gap, 1024 - gap + 601)
    assert ring.read(2000) == pcm


def test_no_room_hands_the_audio_out():
    ring, pcm = Ring(1024), pcm_of(1025)
    decoder = DeltaDecoder(ring, 24000)
    delta = decoder.feed(delta_message(pcm))
    assert delta.pcm == pcm
    assert delta.start == delta.end == ring.head == 0
    decoder.hold = True
    held = decoder.feed(delta_message(pcm[:100]))
    assert held.pcm == pcm[:100]
    assert ring.head == 0


def shuffled(event: dict, rng: random.Random) -> dict:
    keys = list(event)
    rng.shuffle(keys)
    return {key: event[key] for key in keys}


def spaced(text: str, rng: random.Random) -> str:
    """White space around structure, outside strings."""
    out, inside, escaped = [], False, False
    for c in text:
        if c == '"' and not escaped:
            inside = not inside
        escaped = inside and c == "\\" and not escaped
        space = "".join(rng.choices(" \t\r\n", k=rng.randrange(3)))
        out.append(c if inside or c not in "{}[]:," else f"{space}{c}{space}")
    return "".join(out)


def test_any_order_spacing_and_company():
    rng = random.Random(1)
    pcm = pcm_of(50)
    company = {
        "obfuscation": "aZ09" * 10,
        "nested": {"type": "no", "delta": [1, {"item_id": None}, [], {}], "text": 'quote " brace } \\ é 🎧'},
        "numbers": [0, -1, 1.5, 1e9, -2.5e-7, True, False, None],
        "empty": "",
    }
    event = json.loads(delta_message(pcm)) | company
    for _ in range(300):
        ring = Ring(64)
        text = spaced(json.dumps(shuffled(event, rng), ensure_ascii=rng.random() < 0.5), rng)
        delta = DeltaDecoder(ring, 24000).feed(text)
        assert {name: getattr(delta, name) for name in IDS} == IDS
        assert ring.read(64) == pcm


def escape_all(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" for c in text)


def test_escapes_in_keys_and_values():
    pcm = b"\xff\xff\xbe\xfb"  # base64 with slashes and a plus
    audio = base64.b64encode(pcm).decode()
    assert "/" in audio
    message = (
        f'{{"{escape_all("type")}":"{escape_all("response.output_audio.delta")}",'
        f'"item_id":"a\\n\\"\\u00e9\\ud83c\\udfa7","{escape_all("delta")}":"{audio.replace("/", chr(92) + "/")}"}}'
    )
    ring = Ring(16)
    delta = DeltaDecoder(ring, 24000).feed(message)
    assert delta.item_id == 'a\n"é🎧'
    assert delta.audio == audio
    assert ring.read(16) == pcm
    broken = '{"type":"response.output_audio.delta","delta":"AA\\nAA"}'
    with pytest.raises(ValueError, match="byte 49"):
        DeltaDecoder(ring, 24000).feed(broken)


def test_the_last_of_two_keys_counts():
    ring = Ring(16)
    delta = DeltaDecoder(ring, 24000).feed(
        '{"item_id":"a","type":"response.output_audio.delta","delta":"!","item_id":"b","delta":"AAE="}'
    )
    assert delta.item_id == "b"
    assert ring.read(16) == b"\0\1"
    delta = DeltaDecoder(ring, 24000).feed(
        '{"type":5,"item_id":5,"response_id":[],"output_index":"x","content_index":-1,"delta":null,'
        '"type":"response.output_audio.delta","item_id":"b","response_id":null,"output_index":1,"content_index":null,'
        '"delta":"AAE="}'
    )
    assert (delta.item_id, delta.response_id, delta.output_index, delta.content_index) == ("b", "", 1, 0)
    assert ring.read(16) == b"\0\1"


def test_what_is_left_out_is_empty():
    delta = DeltaDecoder(Ring(16), 24000).feed(
        '{"type":"response.output_audio.delta","delta":"","item_id":null,"output_index":null}'
    )
    assert (delta.response_id, delta.item_id, delta.output_index, delta.content_index) == ("", "", 0, 0)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_audio_transcript.delta", "delta": "hello"},
        {"type": "response.output_audio.done"},
        {"type": "response.output_audio.delta "},
        {"type": ""},
        {"delta": {"a": 1}, "output_index": "x", "item_id": 5, "type": "something.else"},
        {"session": {"tools": [{"type": "function"}]}, "type": "session.created"},
    ],
)
def test_other_messages_are_handed_on(event):
    ring = Ring(16)
    assert DeltaDecoder(ring, 24000).feed(json.dumps(event)) is None
    assert ring.head == 0


MALFORMED = [
    ("", 0, "ends too early"),
    ("  ", 2, "ends too early"),
    ("[]", 0, "object"),
    ("{}", 2, "no type"),
    ('{"a":1}', 7, "no type"),
    ('{"type":5}', 10, "no type"),
    ('{"type" "x"}', 8, "colon"),
    ('{"a":01,"type":"x"}', 6, "comma"),
    ('{"a":-,"type":"x"}', 6, "digit"),
    ('{"a":1.,"type":"x"}', 7, "digit"),
    ('{"a":tru,"type":"x"}', 8, "value"),
    ('{"a":[1,],"type":"x"}', 8, "value"),
    ('{"a":{"b"},"type":"x"}', 9, "colon"),
    ('{"a":[}', 6, "value"),
    ('{"a":"\n","type":"x"}', 6, "control"),
    ('{"a":"\\x","type":"x"}', 7, "escape"),
    ('{"a":"\\u12g4","type":"x"}', 10, "hexadecimal"),
    ('{"a":1,}', 7, "string"),
    ('{"a":' + "[" * 513, 5 + 512, "deep"),
    ('{"type":"response.output_audio.delta"}', 38, "no audio"),
    ('{"type":"response.output_audio.delta","delta":5}', 46, "base64"),
    ('{"type":"response.output_audio.delta","delta":"AAAA"}', 51, "inside a sample"),
    ('{"type":"response.output_audio.delta","delta":"AA!A"}', 49, "base64"),
    ('{"type":"response.output_audio.delta","delta":"AAA"}', 50, "group"),
    ('{"type":"response.output_audio.delta","delta":"AAE="} x', 54, "follows"),
    ('{"type":"response.output_audio.delta","delta":"AAE=","item_id":5}', 63, "string"),
    ('{"type":"response.output_audio.delta","delta":"AAE=","output_index":-1}', 68, "whole number"),
    ('{"type":"response.output_audio.delta","delta":"AAE=","output_index":2147483648}', 68, "whole number"),
    ('{"type":"response.output_audio.delta","delta":"AAE=","item_id":"i","item_id":5}', 77, "string"),
    ('{"output_index":"x","item_id":5,"type":"response.output_audio.delta","delta":"AAE="}', 16, "whole number"),
    ('{"type":"response.output_audio.delta","delta":"AAE=","type":5}', 62, "no type"),
]


@pytest.mark.parametrize(("text", "offset", "reason"), MALFORMED)
def test_malformed_says_where_and_writes_nothing(text, offset, reason):
    ring = Ring(16)
    with pytest.raises(ValueError, match=rf"{reason}.*at byte {offset}$"):
        DeltaDecoder(ring, 24000).feed(text)
    assert ring.head == 0


def test_every_truncation_is_an_error_and_writes_nothing():
    ring = Ring(1024)
    decoder = DeltaDecoder(ring, 48000)
    message = delta_message(pcm_of(20), obfuscation="x\\u00e9", nested={"a": [1.5e3, True]})
    for size in range(len(message)):
        with pytest.raises(ValueError, match="at byte"):
            decoder.feed(message[:size])
    assert ring.head == 0
    assert decoder.feed(message).end == 40


def test_a_broken_byte_anywhere_in_base64_is_found():
    text = base64.b64encode(pcm_of(1500))
    for offset in [*range(40), *range(500, 530), *range(len(text) - 40, len(text))]:
        ring = Ring(2048)
        ring.write(bytes(2 * 1777))  # so that the ring wraps inside the audio
        ring.read(2048)
        for rate in (24000, 48000):
            broken = text[:offset] + b"*" + text[offset + 1 :]
            with pytest.raises(ValueError, match=rf"at byte {offset}$"):
                DeltaDecoder(ring, rate).feed_audio(broken)
        assert ring.head == 1777


def test_padding_before_the_end_is_an_error():
    text = base64.b64encode(pcm_of(1000))
    for at in (2, 510, 514, 1022):
        for rate in (24000, 48000):
            with pytest.raises(ValueError, match="at byte"):
                DeltaDecoder(Ring(4096), rate).feed_audio(text[:at] + b"==" + text[at + 2 :])


@pytest.mark.parametrize("audio", ["AA==AAAA", "AAA=AAAA", "AAAAAA==AAAA", "AAAAAAA=AAAA"])
def test_padding_before_the_end_is_an_error_where_the_ring_wraps(audio):
    for gap in range(1, 6):  # samples until the ring wraps
        ring = Ring(64)
        ring.write(bytes(2 * (64 - gap)))
        ring.read(64)
        with pytest.raises(ValueError, match=rf"at byte {audio.index('=')}$"):
            DeltaDecoder(ring, 24000).feed_audio(audio)
        assert ring.head == 64 - gap


@pytest.mark.parametrize(("wire_rate", "ring_rate"), [(24000, 48000), (24000, 44100), (24000, 16000), (16000, 8000)])
def test_resampled_stream_is_the_resampler_s(wire_rate, ring_rate):
    pcm = pcm_of(20_000, 3)
    resampler = Resampler(wire_rate, ring_rate)
    expected = resampler.process(pcm) + resampler.flush()
    rng = random.Random(5)
    ring = Ring(1 << 16)
    decoder = DeltaDecoder(ring, ring_rate, wire_rate=wire_rate)
    at = 0
    while at < len(pcm):
        size = 2 * rng.choice([0, 1, 7, 100, 383, 384, 385, 3000])
        delta = decoder.feed(delta_message(pcm[at : at + size]))
        assert delta.end == ring.head
        with pytest.raises(ValueError, match="inside a sample"):
            decoder.feed_audio("AAAA")  # a broken delta leaves the stream as it was
        at += size
    start, end, tail = decoder.flush()
    assert (end, tail) == (ring.head, None)
    assert start < end
    assert ring.read(1 << 16) == expected


@pytest.mark.parametrize("wire_format", ["pcmu", "pcma"])
def test_g711(wire_format):
    from realtime_core import g711

    codes = random.Random(2).randbytes(5000)
    decode = g711.decode_ulaw if wire_format == "pcmu" else g711.decode_alaw
    ring = Ring(1 << 16)
    delta = DeltaDecoder(ring, 8000, wire_format=wire_format, wire_rate=8000).feed(delta_message(codes))
    assert delta.samples == 5000
    assert ring.read(1 << 16) == decode(codes)
    DeltaDecoder(ring, 24000, wire_format=wire_format, wire_rate=8000).feed(delta_message(codes))
    assert ring.read(1 << 16) == Resampler(8000, 24000).process(decode(codes))


def test_an_escape_is_not_taken_for_the_letters_it_is_written_with():
    decoder = DeltaDecoder(Ring(64), 24000)
    for name in ("a\\n", "a\n", "a\\n", "\\u00e9", "é", '"', "\\"):
        message = json.dumps({"type": "response.output_audio.delta", "item_id": name, "response_id": name, "delta": ""})
        delta = decoder.feed(message)
        assert (delta.item_id, delta.response_id) == (name, name)


def test_feed_audio_is_feed_without_json():
    pcm = pcm_of(100)
    ring = Ring(256)
    decoder = DeltaDecoder(ring, 24000)
    assert decoder.feed_audio(base64.b64encode(pcm).decode()) == (0, 100, None)
    assert decoder.feed_audio(base64.b64encode(pcm)) == (100, 200, None)
    assert decoder.feed_audio(base64.b64encode(pcm)) == (200, 200, pcm)
    assert ring.read(256) == pcm + pcm
    assert decoder.flush() == (200, 200, None)


def test_more_than_a_call_may_hold_is_refused():
    ring = Ring(16)
    with pytest.raises(ValueError, match="too much audio"):
        DeltaDecoder(ring, 48000, wire_format="pcmu").feed_audio(bytes(((1 << 26) // 3 + 1) * 4))
    assert ring.head == 0


def test_reset_forgets_the_stream():
    ring = Ring(4096)
    decoder = DeltaDecoder(ring, 48000)
    audio = base64.b64encode(pcm_of(100))
    decoder.feed_audio(audio)
    first = ring.read(4096)
    decoder.reset()
    decoder.feed_audio(audio)
    assert ring.read(4096) == first


@pytest.mark.parametrize(
    "arguments",
    [{"ring_rate": 7999}, {"ring_rate": 192001}, {"wire_rate": 0}, {"wire_format": "opus"}, {"ring_rate": -1}],
)
def test_decoder_refuses_what_it_cannot_do(arguments):
    with pytest.raises(ValueError, match="must be"):
        DeltaDecoder(Ring(16), **({"ring_rate": 24000} | arguments))


def test_random_bytes_are_an_error_or_handed_on():
    rng = random.Random(9)
    valid = delta_message(pcm_of(8), nested=[{"a": "b\\n"}])
    ring = Ring(1 << 16)
    decoder = DeltaDecoder(ring, 44100)
    for _ in range(3000):
        broken = bytearray(valid)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.choice(b'{}[]",:\\u0019.-eE/+=\x00\x80\xff aZ')
        head = ring.head
        try:
            event = json.loads(bytes(broken))
        except ValueError:
            event = None
        try:
            delta = decoder.feed(bytes(broken))
        except ValueError:
            assert ring.head == head
        else:
            assert delta is None or event is not None or b"\x80" in broken or b"\xff" in broken
            if delta is not None and event is not None:
                assert delta.audio == event["delta"]
                assert delta.item_id == (event.get("item_id") or "")


def test_the_pace_of_the_wire_is_adjusted():
    audio = base64.b64encode(bytes(48000)).decode()
    decoder = DeltaDecoder(Ring(1 << 17), 48000)
    assert decoder.adjust(1000.0)
    start, end, _ = decoder.feed_audio(audio)
    assert end - start == pytest.approx(47952, abs=2)
    with pytest.raises(ValueError, match="ppm must be"):
        decoder.adjust(10001.0)
    assert not DeltaDecoder(Ring(1024), 24000).adjust(10.0)
