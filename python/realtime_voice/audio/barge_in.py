"""Who may interrupt the agent, and how sure the sound device's callback must be."""

from typing import Final, Literal, TypedDict

import msgspec

Policy = Literal["local", "server", "both", "off"]
POLICIES: Final[tuple[Policy, ...]] = ("local", "server", "both", "off")
CHECKED: Final = {"confirm_ms": 60, "confirm_probability": 0.5}
"""Where the echo check listens too, which by itself is slow to be sure of the user. So 97 of 100 are caught, and the
agent is never taken for the user (docs/echo.md)."""


class BargeInOptions(TypedDict, total=False):
    """How the user interrupts; what is left out is as in `BargeInRule`."""

    barge_in: Policy | None
    """Who decides; None: "both" with echo control or a headset, else "server"."""
    headset: bool
    """The microphone does not hear the speaker: what sounds like speech is the user's."""
    confirm_ms: int
    confirm_probability: float
    duck_db: float


class BargeInRule(msgspec.Struct, frozen=True):
    """What speech does to an agent that speaks. Raises ValueError that names what is out of range."""

    policy: Policy = "server"
    """"local": the callback decides by what it captures; "server": the server's speech_started does; "both": whichever
    comes first; "off": nobody."""
    confirm_ms: int = 150
    """Speech, less what was not speech in between, after which the callback cuts; 10 to 10000. It ducks at once.
    Unless a headset is worn `settle` makes it CHECKED's."""
    confirm_probability: float = 0.7
    """Of a hop of 10 ms that counts as speech."""
    duck_db: float = -12.0
    """How much quieter the agent is until that is decided; -120 to 0."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"barge_in must be one of {', '.join(POLICIES)}, got {self.policy!r}")
        if not 10 <= self.confirm_ms <= 10_000:
            raise ValueError(f"confirm_ms must be 10 to 10000, got {self.confirm_ms}")
        if not 0.0 <= self.confirm_probability <= 1.0:
            raise ValueError(f"confirm_probability must be 0.0 to 1.0, got {self.confirm_probability}")
        if not -120.0 <= self.duck_db <= 0.0:
            raise ValueError(f"duck_db must be -120.0 to 0.0, got {self.duck_db}")

    @property
    def is_local(self) -> bool:
        """The callback listens."""
        return self.policy in {"local", "both"}

    @property
    def heeds_server(self) -> bool:
        """The server's speech_started silences the agent."""
        return self.policy in {"server", "both"}


def settle(options: BargeInOptions, *, echo_controlled: bool) -> BargeInRule:
    """Return the rule that the options make. Raises ValueError."""
    given = options.get("barge_in")
    isolated = echo_controlled or options.get("headset", False)
    rule: dict[str, object] = {} if options.get("headset", False) else dict(CHECKED)
    rule |= {name: value for name, value in options.items() if name in BargeInRule.__struct_fields__}
    return BargeInRule(given or ("both" if isolated else "server"), **rule)  # type: ignore[arg-type]
