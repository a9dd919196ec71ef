"""What every answer carries, and whose question is answered: nothing from elsewhere, nobody from elsewhere."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nualley.core import UsageError
from nualley.web.answers import refused

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def host_name(header: str) -> str | None:
    """Return the name in a Host header, without its port.

    Parameters
    ----------
    header : str
        Such as ``localhost:8710`` or ``[::1]:8710``.

    Returns
    -------
    str or None
        In lower case; None where it is no host with or without a port.

    Examples
    --------
    >>> host_name("[::1]:8710"), host_name("LocalHost:80"), host_name("127.0.0.1")
    ('::1', 'localhost', '127.0.0.1')
    >>> host_name("127.0.0.1:8710@evil.example") is None
    True
    """
    match = _HOST.fullmatch(header)
    return (match[1] or match[2]).lower() if match else None


class Guard:
    """Refuses questions to another name than this machine's own, and adds the headers of `HEADERS`.

    A page from elsewhere whose name was made to point to this machine (DNS rebinding) asks for its own name.

    Parameters
    ----------
    app : ASGIApp
        What answers.
    names : frozenset of str
        Host names that are answered to.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # the page's own code is asked for again each time, and answered "not modified" while it is the same
                is_code = scope["path"].startswith("/static/")
                headers["Cache-Control"] = "no-cache" if is_code else "no-store"
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if host_name(host) in self._names:
            await self._app(scope, receive, send_with_headers)
            return
        names = ", ".join(sorted(self._names))
        error = UsageError(f"this page answers to {names}, not to {host[:80]!r}", where="Host", do=f"ask {names}")
        await refused(error, 421)(scope, receive, send_with_headers)
