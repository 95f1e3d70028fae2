"""Where a Redis server is and who asks: what may be written down, and the password."""

import os
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tensorflow_similarity._core.optional import optional_import

#: Where the password is looked for that is not given.
PASSWORD_VARIABLE = "TENSORFLOW_SIMILARITY_REDIS_PASSWORD"

_SCHEMES = ("redis", "rediss", "unix")
# Seconds. A server on the way up is waited for; one that is not there is said soon.
_CONNECT_TIMEOUT = 5
_ANSWER_TIMEOUT = 60
_RETRIES = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


@dataclass(frozen=True)
class Address:
    """A server, a user and a password; only the first two are ever shown or saved.

    Args:
        url: without a password.
        password: None for a server that asks none.
    """

    url: str
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        host: str,
        port: int,
        db: int,
        username: str | None,
        password: str | None,
        ssl: bool,
    ) -> Self:
        """The address of a host and a port."""
        name = f"[{host}]" if ":" in host else host
        user = "" if username is None else f"{quote(username, safe='')}@"
        scheme = "rediss" if ssl else "redis"
        return cls(f"{scheme}://{user}{name}:{int(port)}/{int(db)}", _given(password))

    @classmethod
    def from_url(cls, url: str, username: str | None, password: str | None) -> Self:
        """The address in a URL; user and password in it count before those beside it.

        Raises:
            ValueError: if it is not the URL of a Redis server.
        """
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        if parts.scheme not in _SCHEMES:
            raise ValueError(
                "`url` must begin with 'redis://', 'rediss://' for TLS, or 'unix://'. "
                f"Received: {_scheme(url)}."
            )
        options = dict(parse_qsl(parts.query))
        found = options.pop("password", None)
        user, at, host = parts.netloc.rpartition("@")
        name, colon, secret = user.partition(":")
        if colon:
            found = unquote(secret)
        if not name and username is not None:
            name = quote(username, safe="")
        netloc = f"{name}@{host}" if name else host
        query = f"?{urlencode(options, safe='/')}" if options else ""
        shown = f"{parts.scheme}://{netloc}{parts.path}{query}"
        return cls(shown, _given(password if found is None else found))

    def client(self) -> Any:
        """A client of the package `redis`; it connects when it is first used.

        Raises:
            ImportError: if the package is missing.
            ValueError: if the URL holds something that the package does not take.
        """
        redis = optional_import("redis", purpose="Keeping an index on a Redis server")
        retry = optional_import("redis.retry", purpose="Asking a Redis server again")
        backoff = optional_import(
            "redis.backoff", purpose="Asking a Redis server again"
        )
        pauses = backoff.ExponentialBackoff(cap=_LONGEST_PAUSE, base=_FIRST_PAUSE)
        settings = {
            "password": self.password,
            "socket_connect_timeout": _CONNECT_TIMEOUT,
            "socket_timeout": _ANSWER_TIMEOUT,
            "retry": retry.Retry(pauses, _RETRIES),
        }
        # The password goes beside the URL, so that no message shows it.
        return redis.Redis.from_url(self.url, **settings)


def _given(password: str | None) -> str | None:
    return os.environ.get(PASSWORD_VARIABLE) if password is None else password


def _scheme(url: Any) -> str:
    """What can be shown of something that is no URL of ours: never a password."""
    if not isinstance(url, str):
        return f"a {type(url).__name__}"
    return repr(url.partition("://")[0]) if "://" in url else "a text without '://'"
