"""The rules for names, versions and URLs from outside."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from registry import errors

RESERVED_NAMES = frozenset({"register", "heartbeat", "watch", "export"})
CAPABILITIES = ("rest", "graphql", "grpc", "mcp")
MAX_URL_LENGTH = 2048
#: A service's name or a pattern of names, as OpenAPI says it.
NAME_OR_GLOB = "^(?!(register|heartbeat|watch|export)$)[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}$"
MAX_TEXT_LENGTH = 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_NAME_GLOB = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}", re.ASCII)
_INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:#_-]{0,127}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}", re.ASCII)
_NAME_RULE = "1-128 characters out of A-Z a-z 0-9 . _ -, starting with a letter or digit"
_VERSION_RULE = (
    "1-128 characters out of A-Z a-z 0-9 . + _ -, starts with a letter or digit, and has no '..'"
)


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def check_service_name(text: str, *, field: str = "service_name") -> str:
    if not is_name(text):
        raise errors.InvalidServiceName(f"A service name has {_NAME_RULE}.", field=field)
    if text in RESERVED_NAMES:
        raise errors.InvalidServiceName(f"'{text}' is reserved.", field=field)
    return text


def is_glob(text: str) -> bool:
    """Return whether the text stands for several names: ``*``, ``pay*``."""
    return "*" in text


def check_service_glob(text: str, *, field: str = "service_name") -> str:
    if _NAME_GLOB.fullmatch(text) is None:
        raise errors.InvalidServiceName(
            "A pattern of service names has 1-128 characters out of A-Z a-z 0-9 . _ - and *.",
            field=field,
        )
    return text


def is_instance_id(text: str) -> bool:
    return _INSTANCE_ID.fullmatch(text) is not None


def check_instance_id(text: str, *, field: str = "instance_id") -> str:
    if not is_instance_id(text):
        raise errors.InvalidInstanceId(
            "An instance id has 1-128 characters out of A-Z a-z 0-9 . : # _ -,"
            " starting with a letter or digit.",
            field=field,
        )
    return text


def check_version(text: str, *, field: str = "version") -> str:
    if not is_version(text):
        raise errors.InvalidVersion(f"A version has {_VERSION_RULE}.", field=field)
    return text


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None and ".." not in text


def version_warning(text: str, *, instance: str) -> str:
    """Return the sentence for a heartbeat whose ``version`` cannot be used."""
    return f"{instance}: version '{text[:128]}' is ignored. A version has {_VERSION_RULE}."


def check_url(text: str, *, field: str = "service_url") -> str:
    """Validate the syntax of an http(s) URL; its addresses are checked when it is dialled."""
    if reason := _url_fault(text):
        raise errors.InvalidServiceUrl(reason, field=field)
    return text


def _url_fault(text: str) -> str | None:
    if len(text) > MAX_URL_LENGTH:
        return f"A URL has at most {MAX_URL_LENGTH} characters."
    if not text.isprintable() or " " in text or "\\" in text:
        return "A URL has no spaces, backslashes or control characters."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "The URL cannot be read."
    if parts.scheme not in ("http", "https"):
        return "A URL starts with http:// or https://."
    if "@" in parts.netloc:
        return "A URL carries no credentials."
    if not parts.hostname or port == 0:
        return "A URL names a host."
    return None
