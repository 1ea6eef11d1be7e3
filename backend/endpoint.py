"""What whoever asks an OpenAI-compatible endpoint needs: its address, its key, and how long to leave it alone."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from backend.errors import InvalidInputError

UNAUTHORISED = (401, 403)
LONGEST_WAIT_SECONDS = 120.0
"""An endpoint that wants to be left alone for longer is not waited for."""


def checked_address(base_url: str, *, option: str, key_variable: str) -> str:
    """The address without the slash at its end. Raises InvalidInputError for anything but a plain http(s) address."""
    try:
        url = httpx2.URL(base_url.strip())
    except httpx2.InvalidURL as error:
        raise InvalidInputError(f"{option} is {base_url!r}, which is no address: {error}.") from error
    if url.userinfo:
        raise InvalidInputError(f"{option} has a user or a password in it. Put the key in {key_variable} instead.")
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInputError(f"{option} is {base_url!r}; it must be an address such as http://127.0.0.1:8000/v1.")
    return str(url).rstrip("/")


def checked_key(key: str | None, *, variable: str) -> str | None:
    """The key without blanks around it. Raises InvalidInputError, which does not show it, if no header can hold it."""
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise InvalidInputError(f"The key in {variable} has characters that no key has. Copy it again.")
    return key or None


def is_busy(status: int) -> bool:
    """Whether the same request may be answered later."""
    return status == 429 or status >= 500


def retry_after(said: str) -> float | None:
    """Seconds to wait by a Retry-After header, which has seconds or a date (RFC 9110, 10.2.3)."""
    if said.strip().isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def backoff(number: int) -> float:
    """About 1, 2, 4 ... seconds after try 1, 2, 3 ..., half of it by chance, so that many askers spread out."""
    longest = min(2.0 ** (number - 1), 60.0)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


def excerpt(text: str, key: str | None) -> str:
    """The beginning of what an endpoint said, without the key, which some endpoints repeat."""
    text = " ".join(text.split())
    if key:
        text = text.replace(key, "(the key)")
    return text[:200] or "no text"
