"""
Where a browser may be sent after a login.

An address counts only as this module and every browser read it alike (https://url.spec.whatwg.org): what they read
differently (backslashes, user names, control characters, letters beyond ASCII, doubled slashes, dots that climb) is
refused, also where it is percent-encoded, since a proxy may decode it.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_salesforce_export.plugin.addresses import base_url

_MAX_LENGTH = 2000
_MAX_MESSAGE = 1000
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without spaces and without the backslash
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:]+\](:\d{1,5})?")
_PORTS = {"http": 80, "https": 443}


class ForwardUrlError(ValueError):
    """The browser may not be sent there."""


def checked(forward_url: str) -> str:
    """
    Return an address to which a browser may be sent: a path here, or one below an allowed address.

    :param forward_url: What the caller wants.
    :raises ForwardUrlError: It is another one.
    """
    parts = _parts(forward_url)
    if parts is not None:
        if not parts.scheme and not parts.netloc:
            return forward_url
        if any(_is_below(parts, allowed) for allowed in map(_parts, _allowed()) if allowed):
            return forward_url
    raise ForwardUrlError(
        "forward_url is refused: it is neither a path on this server nor below an address that is allowed. An Airflow "
        "admin can add the address to allowed_forward_urls in [salesforce_export] of Airflow's configuration."
    )


def with_result(forward_url: str, result: str, message: str = "") -> str:
    """
    Return the address with the result of a login in its query.

    :param forward_url: A checked address.
    :param result: ``connected`` or ``error``.
    :param message: For people.
    """
    parts = urlsplit(forward_url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, True) if name not in ("salesforce", "message")]
    added = [("salesforce", result), *([("message", message[:_MAX_MESSAGE])] if message else [])]
    return parts._replace(query=urlencode([*kept, *added])).geturl()


def _allowed() -> list[str]:
    configured = str(conf.get("salesforce_export", "allowed_forward_urls", fallback="") or "")
    allowed = [url.strip() for url in configured.split(",") if url.strip()]
    own = urlsplit(base_url())
    return [*allowed, *([f"{own.scheme}://{own.netloc}"] if own.netloc else [])]


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address that everybody reads alike; None of another one."""
    if len(url) > _MAX_LENGTH or not _PRINTABLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # is checked only when asked for
    except ValueError:
        return None
    is_path = not parts.scheme and not parts.netloc and url.startswith("/") and not url.startswith("//")
    is_address = parts.scheme in _PORTS and _HOST.fullmatch(parts.netloc)
    return parts if (is_path or is_address) and _is_plain(parts.path) else None


def _is_plain(path: str) -> bool:
    decoded = unquote(unquote(path))
    return (
        "//" not in decoded
        # Java's servers drop what follows a semicolon, and then climb.
        and not {".", ".."} & {segment.partition(";")[0] for segment in decoded.split("/")}
        and (not decoded or _PRINTABLE.fullmatch(decoded.replace(" ", "-")) is not None)
    )


def _is_below(parts: SplitResult, allowed: SplitResult) -> bool:
    folder = allowed.path.rstrip("/")
    return _origin(parts) == _origin(allowed) and (
        parts.path.rstrip("/") == folder or parts.path.startswith(f"{folder}/")
    )


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    return parts.scheme, parts.hostname, port
