"""Numbers as spoken English words, in both directions.

Pure functions on strings. Words are lower case, joined by single blanks, without "and" or hyphens when written
("one hundred forty four"); both are understood when read.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand"))
LARGEST = 10**12
"""Numbers of this size and above are spoken digit by digit."""
SPOKEN_DECIMALS = 4

_SMALL = {word: value for value, word in enumerate(UNITS + TEENS)}
_TENS = {word: 10 * value for value, word in enumerate(TENS, 2)}
_SCALE = {word: value for value, word in SCALES}
NUMBER_WORDS = frozenset((*_SMALL, *_TENS, *_SCALE, "hundred", "oh"))

_NUMERAL = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")


def spell(number: int | str | Decimal) -> str:
    """Return the spoken words of `number`; fractions are rounded to four digits and spoken digit by digit.

    Raises:
        ValueError: `number` is a string that is not a plain decimal number.

    """
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise ValueError(f"not a number: {number!r}") from None
    if not value.is_finite():
        raise ValueError(f"not a finite number: {number!r}")
    value = round(value, SPOKEN_DECIMALS) if value % 1 else value
    sign, digits = ("minus ", f"{-value:f}") if value < 0 else ("", f"{value:f}")
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0")
    words = _spell_whole(int(whole))
    return f"{sign}{words} point {_spell_digits(fraction)}" if fraction else sign + words


def spell_numerals(text: str) -> str:
    """Return `text` with every written number replaced by its words."""
    return _NUMERAL.sub(lambda match: spell(match[0]), text)


def parse(words: Sequence[str], start: int = 0) -> tuple[int | None, int]:
    """Read one whole number from `words[start:]`.

    Returns:
        The number and the index of the first word after it; (None, start) when no number begins there.

    """
    total, group, at = 0, None, start
    while at < len(words):
        word = words[at]
        if word in _SCALE and group is not None:
            if total and total % (_SCALE[word] * 1000):
                break
            total, group = total + group * _SCALE[word], None
        elif word == "hundred" and group is not None and 0 < group < 10:
            group *= 100
        elif word in _TENS and (group is None or (group and group % 100 == 0)):
            group = (group or 0) + _TENS[word]
        elif word in _SMALL and (group is None or _takes(group, _SMALL[word])):
            group = (group or 0) + _SMALL[word]
        elif word == "a" and group is None and words[at + 1 : at + 2] in (["hundred"], ["thousand"], ["million"]):
            group = 1
        elif word == "and" and at > start and _continues(words, at, group, total):
            pass
        else:
            break
        at += 1
    return (None, start) if at == start else (total + (group or 0), at)


def numbers_in(text: str) -> list[int]:
    """Return the whole numbers spoken in `text`, in order ("twenty twenty one" is 20, 21)."""
    words = text.lower().replace("-", " ").replace(",", " ").split()
    found = []
    at = 0
    while at < len(words):
        value, after = parse(words, at)
        if value is None:
            at += 1
            continue
        found.append(-value if _is_negative(words, at) else value)
        at = after
    return found


def _is_negative(words: Sequence[str], at: int) -> bool:
    """Tell the sign "minus" ("is minus three") from the operator ("nine minus three")."""
    return at > 0 and words[at - 1] in {"minus", "negative"} and (at == 1 or words[at - 2] in {"is", "equals"})


def _takes(group: int, value: int) -> bool:
    """Whether `value` may follow `group` within one number: twenty|one, one hundred|twelve."""
    return bool(group) and (
        (group % 100 == 0 and value > 0) or (group % 100 >= 20 and group % 10 == 0 and 0 < value < 10)
    )


def _continues(words: Sequence[str], at: int, group: int | None, total: int) -> bool:
    follows = at + 1 < len(words) and (words[at + 1] in _SMALL or words[at + 1] in _TENS)
    return follows and ((group is not None and group >= 100 and group % 100 == 0) or (group is None and total > 0))


def _spell_whole(number: int) -> str:
    if number >= LARGEST:
        return _spell_digits(str(number))
    words = []
    for scale, name in SCALES:
        count, number = divmod(number, scale)
        if count:
            words += [_spell_below_thousand(count), name]
    if number or not words:
        words.append(_spell_below_thousand(number))
    return " ".join(words)


def _spell_below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [UNITS[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(TENS[rest // 10 - 2])
        rest %= 10
    if rest or not words:
        words.append((UNITS + TEENS)[rest])
    return " ".join(words)


def _spell_digits(digits: str) -> str:
    return " ".join(UNITS[int(digit)] for digit in digits)
