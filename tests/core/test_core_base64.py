import base64 as reference
import random

import pytest

from realtime_core import base64


def test_every_length_is_what_the_standard_library_gives():
    source = random.Random(1)
    for length in [*range(400), 4800, 65537]:
        data = source.randbytes(length)
        text = base64.encode(data)
        assert text == reference.b64encode(data)
        assert base64.decode(text) == data
        assert base64.decode(text.decode()) == data
        assert base64.decode(memoryview(bytearray(text))) == data


def test_damaged_text_is_judged_as_by_the_standard_library():
    source = random.Random(2)
    alphabet = b"ABYZabyz0189+/=-_ \n\0\xff"
    for _ in range(20000):
        text = bytearray(reference.b64encode(source.randbytes(source.randrange(1, 120))))
        for _ in range(source.randrange(1, 3)):
            at = source.randrange(len(text))
            if source.random() < 0.3:
                del text[at]
            else:
                text[at] = source.choice(alphabet)
            if not text:
                break
        try:
            expected = reference.b64decode(text, validate=True)
            valid = reference.b64encode(expected) == text  # the standard library lets unused bits be anything
        except ValueError:
            valid = False
        if valid:
            assert base64.decode(text) == expected
        else:
            with pytest.raises(ValueError, match="at offset"):
                base64.decode(text)


@pytest.mark.parametrize(
    ("text", "offset"),
    [("QUI", 3), ("QUJ*", 3), ("QUJD QUJ", 4), ("QR==", 1), ("QUJDé", 4), ("=", 0), ("QQ==QUJD", 2)],
)
def test_the_error_says_where(text, offset):
    with pytest.raises(ValueError, match=f"offset {offset}"):
        base64.decode(text)


def test_wrong_types_are_refused():
    with pytest.raises(TypeError):
        base64.encode("text")
    with pytest.raises(TypeError):
        base64.decode(5)
    with pytest.raises(UnicodeEncodeError):
        base64.decode("\ud800")
