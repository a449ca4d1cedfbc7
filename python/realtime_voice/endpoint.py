"""Where a session connects to and how it says who it is.

The URL is the first of these that is set; http becomes ws and https becomes wss, and `model=` is added where missing:

1. `base_url` (`/realtime` is added where missing)
2. OPENAI_REALTIME_URL, a full WebSocket URL
3. OPENAI_WEBSOCKET_BASE_URL (`/realtime` is added where missing)
4. OPENAI_BASE_URL (`/realtime` is added where missing)
5. OpenAI's own, when there is a key

The key is `api_key`, else OPENAI_API_KEY. A key of the form `<...>` is a placeholder and counts as absent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENAI_URL: Final = "wss://api.openai.com/v1/realtime"
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, repr=False)
class Endpoint:
    """A WebSocket URL and the headers to open it with. Its text shows neither key nor query."""

    url: str
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """The URL without anything that may be secret, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def is_loopback(self) -> bool:
        """True when the host is this machine."""
        return _is_loopback(urlsplit(self.url).hostname)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, headers={sorted(self.headers)})"


def resolve(
    model: str | None = "gpt-realtime",
    base_url: str | None = None,
    api_key: str | None = None,
    organization: str | None = None,
    project: str | None = None,
    *,
    allow_insecure: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """Find the endpoint to connect to, by the rules of this module.

    `allow_insecure` permits to send a key over plain ws to a host that is not this machine.
    Raises ValueError that says what is missing or wrong; the key is never part of it.
    """
    key_source, key = _first(("api_key", api_key), ("OPENAI_API_KEY", environ.get("OPENAI_API_KEY")))
    url_source, url = _first(
        ("base_url", base_url),
        *(
            (name, environ.get(name))
            for name in ("OPENAI_REALTIME_URL", "OPENAI_WEBSOCKET_BASE_URL", "OPENAI_BASE_URL")
        ),
    )
    if url is None and key is None:
        raise ValueError(
            "no API key and no endpoint: give api_key (or set OPENAI_API_KEY) to talk to OpenAI, "
            "or base_url (or OPENAI_REALTIME_URL) for another endpoint, such as the one that `realtime serve` starts"
        )
    parts = _parse(url_source, url or OPENAI_URL)
    path = parts.path.rstrip("/")
    if url_source != "OPENAI_REALTIME_URL" and not path.endswith("/realtime"):
        path += "/realtime"
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not {"model", "call_id"} & {name for name, _ in query}:
        if not model:
            raise ValueError(f"model is missing: give model, or {url_source or 'base_url'} with ?model=")
        query.append(("model", model))
    loopback = _is_loopback(parts.hostname)
    if key is None and not loopback:
        raise ValueError(f"{parts.hostname} ({url_source}) needs a key: give api_key or set OPENAI_API_KEY")
    if key is not None and parts.scheme == "ws" and not loopback and not allow_insecure:
        raise ValueError(
            f"{url_source} would send the key unencrypted to {parts.hostname}: use wss:// (or https://), "
            "or allow_insecure=True if the network is yours"
        )
    _, organization = _first(
        ("organization", organization),
        *((name, environ.get(name)) for name in ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID")),
    )
    _, project = _first(
        ("project", project), *((name, environ.get(name)) for name in ("OPENAI_PROJECT", "OPENAI_PROJECT_ID"))
    )
    headers = {}
    for name, value, source in (
        ("Authorization", key and f"Bearer {key}", key_source),
        ("OpenAI-Organization", organization, "organization"),
        ("OpenAI-Project", project, "project"),
    ):
        if value:
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"{source} holds characters that a header cannot carry (a line break?)")
            headers[name] = value
    return Endpoint(urlunsplit((parts.scheme, parts.netloc, path or "/", urlencode(query), "")), headers)


def _first(*candidates: tuple[str, str | None]) -> tuple[str, str | None]:
    for source, value in candidates:
        text = (value or "").strip()
        if text and not (text.startswith("<") and text.endswith(">")):
            return source, text
    return "", None


def _parse(source: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises when it is no number
    except ValueError:  # its words quote the URL, which may hold secrets
        raise ValueError(f"{source} is not a URL (a wrong port, or brackets?)") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"{source} must be a ws://, wss://, http:// or https:// URL with a host")
    return parts._replace(scheme=_SCHEMES[parts.scheme], fragment="")


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
