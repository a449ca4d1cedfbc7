"""Write into docs/session.md what the code says: the state tables as diagrams, the errors by their reach.

Run `python docs/generate.py` after a change of realtime_voice/states.py or reconnect.py; a test compares.
"""

import re
from pathlib import Path

from realtime_voice.reconnect import LINK
from realtime_voice.states import AGAIN, ERRORS, RESPONSE, SESSION, TURN, Reach, Table

PAGE = Path(__file__).with_name("session.md")


def diagram(table: Table) -> str:
    """Draw one table as a Mermaid state diagram; parallel edges share a line."""
    states = list(table)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {states[0].value}"]
    for state, row in table.items():
        targets: dict[str, list[str]] = {}
        for trigger, target in row.items():
            targets.setdefault(target.value, []).append(trigger.removeprefix("input_audio_buffer."))
        lines += [f"    {state.value} --> {target}: {', '.join(triggers)}" for target, triggers in targets.items()]
        if not row:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```"])


def errors() -> str:
    """List the errors that are treated in their own way."""
    lines = ["| code | ends |", "| --- | --- |"]
    lines += [f"| `{code}` | {reach.value} |" for code, reach in ERRORS.items()]
    return "\n".join([*lines, f"| any other | {Reach.REQUEST.value} |"])


def requests() -> str:
    """List what becomes of unanswered requests."""
    lines = ["| request | when its connection ends before it is answered |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{request}` | {again.value} |" for request, again in AGAIN.items())])


def render(page: str) -> str:
    """Return the page with its generated parts replaced."""
    parts = {
        "session": diagram(SESSION),
        "response": diagram(RESPONSE),
        "turn": diagram(TURN),
        "link": diagram(LINK),
        "errors": errors(),
        "requests": requests(),
    }
    for name, text in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page = re.sub(pattern, lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL)
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
