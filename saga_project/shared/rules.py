"""The rules for texts from outside: of each its pattern, its length, its wording and its error, once.

Serializers, the OpenAPI document and the fast path read them through ``saga_project.shared.api.fields``;
operations and the console ask them directly. A rule says the same twice: ``fault`` in Python and
``schema`` in OpenAPI, both out of the same attributes.
"""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from saga_project.shared import errors

MAX_NAME_LENGTH = 128
MAX_URL_LENGTH = 2048


class InvalidServiceName(errors.InvalidRequest):
    error = "Invalid service name"


class InvalidInstanceId(errors.InvalidRequest):
    error = "Invalid instance id"


class InvalidVersion(errors.InvalidRequest):
    error = "Invalid version"


class InvalidServiceUrl(errors.InvalidRequest):
    error = "Invalid service URL"


class InvalidCapability(errors.InvalidRequest):
    error = "Invalid capability"


class TextRule(ABC):
    error: type[errors.InvalidRequest] = errors.InvalidRequest

    @abstractmethod
    def fault(self, text: str) -> str | None:
        """Return the sentence about what is wrong with ``text``, None where nothing is."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the rule as keywords of an OpenAPI schema."""

    def allows(self, text: str) -> bool:
        return self.fault(text) is None

    def check(self, text: str, *, field: str) -> str:
        """Return ``text``; raises the rule's error, which names ``field``."""
        reason = self.fault(text)
        if reason is not None:
            raise self.error(reason, field=field)
        return text


@dataclass(frozen=True, kw_only=True)
class PatternRule(TextRule):
    """The whole text matches ``pattern``, in the syntax that Python and OpenAPI share."""

    pattern: str
    message: str
    max_length: int | None = None
    #: Texts that match, but mean something else in their place.
    reserved: tuple[str, ...] = ()
    error: type[errors.InvalidRequest] = errors.InvalidRequest

    @functools.cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def matches(self, text: str) -> bool:
        """Return whether the pattern allows ``text``, reserved or not."""
        return self._regex.fullmatch(text) is not None

    def fault(self, text: str) -> str | None:
        if self._regex.fullmatch(text) is None:
            return self.message
        return f"'{text}' is reserved." if text in self.reserved else None

    def schema(self) -> dict[str, Any]:
        reserved = f"(?!({'|'.join(self.reserved)})$)" if self.reserved else ""
        length = {"maxLength": self.max_length} if self.max_length is not None else {}
        return {"pattern": f"^{reserved}{self.pattern}$", **length}


@dataclass(frozen=True, kw_only=True)
class ChoiceRule(TextRule):
    """The text is one of the choices."""

    choices: Sequence[str]
    error: type[errors.InvalidRequest] = errors.InvalidRequest

    def fault(self, text: str) -> str | None:
        return None if text in self.choices else f"'{text}' is none of {', '.join(self.choices)}."

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.choices)}


class UrlRule(TextRule):
    """The text is an http(s) URL by its syntax; its addresses are checked when it is dialled."""

    error = InvalidServiceUrl

    def fault(self, text: str) -> str | None:
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

    def schema(self) -> dict[str, Any]:
        return {"format": "uri", "pattern": "^https?://", "maxLength": MAX_URL_LENGTH}


#: Routes have these words in a name's place.
RESERVED_NAMES = ("register", "heartbeat", "watch", "export")
SERVICE_NAME = PatternRule(
    pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    message=(
        "A service name has 1-128 characters out of A-Z a-z 0-9 . _ -,"
        " starting with a letter or digit."
    ),
    max_length=MAX_NAME_LENGTH,
    reserved=RESERVED_NAMES,
    error=InvalidServiceName,
)
#: The beginning of a service's name, with ``*`` at its end.
SERVICE_NAME_PREFIX = PatternRule(
    pattern=r"[A-Za-z0-9._-]{0,127}\*",
    message="A pattern is the beginning of a name, with '*' at its end.",
    error=InvalidServiceName,
)
SERVICE_NAME_OR_GLOB = PatternRule(
    pattern=r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}",
    message="A pattern of service names has 1-128 characters out of A-Z a-z 0-9 . _ - and *.",
    max_length=MAX_NAME_LENGTH,
    reserved=RESERVED_NAMES,
    error=InvalidServiceName,
)
INSTANCE_ID = PatternRule(
    pattern=r"[A-Za-z0-9][A-Za-z0-9.:#_-]{0,127}",
    message=(
        "An instance id has 1-128 characters out of A-Z a-z 0-9 . : # _ -,"
        " starting with a letter or digit."
    ),
    max_length=MAX_NAME_LENGTH,
    error=InvalidInstanceId,
)
VERSION = PatternRule(
    pattern=r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}",
    message=(
        "A version has 1-128 characters out of A-Z a-z 0-9 . + _ -,"
        " starts with a letter or digit, and has no '..'."
    ),
    max_length=MAX_NAME_LENGTH,
    error=InvalidVersion,
)
URL = UrlRule()
CAPABILITY = ChoiceRule(choices=("rest", "graphql", "grpc", "mcp"), error=InvalidCapability)
