"""``REDIS_URL``: one server, or the sentinels that know which server takes writes at the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from saga_project.shared.redis_tls import TlsConnection

SENTINEL_SCHEME = "redis+sentinel"
SENTINEL_PORT = 26379
TIMEOUT_SECONDS = 0.4


@dataclass(frozen=True)
class SentinelUrl:
    """``redis+sentinel://user:password@host1:port,host2/master/database``; user and password are Redis'."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str = ""
    password: str = ""

    @property
    def credentials(self) -> str:
        if not self.password:
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@"

    def server_url(self, host: str, port: int) -> str:
        """Return the address of one Redis server, as redis-py reads it."""
        name = f"[{host}]" if ":" in host else host
        return f"redis://{self.credentials}{name}:{port}/{self.database}"

    @property
    def cache_location(self) -> str:
        """Return what django-redis reads: the master's name stands for its host."""
        return f"redis://{self.credentials}{self.master}/{self.database}"

    @property
    def broker_url(self) -> str:
        """Return what kombu reads: each sentinel by itself."""
        return ";".join(
            f"sentinel://{self.credentials}{host}:{port}/{self.database}"
            for host, port in self.sentinels
        )

    @property
    def broker_options(self) -> dict[str, Any]:
        timeouts = {"socket_timeout": 1, "socket_connect_timeout": 1}
        return {"master_name": self.master, "sentinel_kwargs": timeouts}


def parse_sentinels(url: str) -> SentinelUrl | None:
    """Return the parts of a Sentinel URL, None for any other; raises ValueError with a sentence."""
    if not url.startswith(f"{SENTINEL_SCHEME}://"):
        return None
    # Not by urlsplit: a list of hosts with an IPv6 address in it is no URL to newer versions of Python.
    place, _, path = url.removeprefix(f"{SENTINEL_SCHEME}://").partition("/")
    credentials, _, hosts = place.rpartition("@")
    username, _, password = credentials.partition(":")
    master, _, database = path.partition("?")[0].strip("/").partition("/")
    sentinels = tuple(_address(text) for text in hosts.split(",") if text)
    if not sentinels or not master or not (database or "0").isdecimal():
        raise ValueError("write redis+sentinel://host1:26379,host2:26379/master-name/0.")
    return SentinelUrl(sentinels, master, int(database or 0), unquote(username), unquote(password))


def _address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "", parts.port or SENTINEL_PORT
    except ValueError:
        raise ValueError(f"'{text}' is no host and port.") from None


def cache(url: str, sentinels: SentinelUrl | None) -> dict[str, Any]:
    """Return the entry of Django's CACHES, through which all connections to presence are made."""
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": sentinels.cache_location if sentinels else url,
        "OPTIONS": {
            # With pickle, write access to Redis would run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": TIMEOUT_SECONDS,
            "SOCKET_TIMEOUT": TIMEOUT_SECONDS,
            "SENTINELS": sentinels.sentinels if sentinels else (),
            "SENTINEL_KWARGS": {"socket_timeout": TIMEOUT_SECONDS},
            "CONNECTION_POOL_KWARGS": {
                "max_connections": 200,
                # A connection that died idle is replaced; a Redis that does not answer is not asked again.
                "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
                # Nothing is sent before the first command: each exchange costs a timeout with Redis frozen.
                "protocol": 2,
                "driver_info": None,
                **({"connection_class": TlsConnection} if url.startswith("rediss://") else {}),
            },
        },
        "KEY_PREFIX": "saga",
        "VERSION": 2,
    }


def broker_options(sentinels: SentinelUrl | None) -> dict[str, Any]:
    """Return the transport options of Celery's broker."""
    timeouts = {"socket_timeout": 1, "socket_connect_timeout": 1}
    return {**timeouts, **(sentinels.broker_options if sentinels else {})}


def database_of(url: str) -> int:
    """Return the number of the database that a Redis URL names."""
    sentinels = parse_sentinels(url)
    if sentinels is not None:
        return sentinels.database
    return int(parse_url(url).get("db", 0))  # type: ignore[no-untyped-call]


def ports_of(url: str) -> set[int]:
    sentinels = parse_sentinels(url)
    if sentinels is not None:
        return {6379, *(port for _, port in sentinels.sentinels)}
    return {urlsplit(url).port or 6379}
