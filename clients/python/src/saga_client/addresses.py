"""``saga://billing/invoices``: which instances such an address stands for, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from saga_client import client

SCHEME = "saga://"
#: So many instances are tried before a call fails; a further one only where nothing was sent to the last.
ATTEMPTS = 3
_ADDRESS = re.compile(
    r"saga://([A-Za-z0-9][A-Za-z0-9._-]{0,127})(/[^#]*|\?[^#]*)?(?:#.*)?", re.ASCII
)


@dataclass(frozen=True)
class Choice:
    """How instances are chosen: the preferred zone, and ranges of versions by the service's name."""

    saga: client.Saga
    zone: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def addresses_of(self, url: str) -> Iterator[str]:
        """Yield the addresses to try for a URL; raises ValueError, and NoInstance where there is none."""
        match = _ADDRESS.fullmatch(url)
        if match is None:
            raise ValueError(
                f"'{url}' is no address of a service; it looks like saga://billing/invoices"
            )
        name, rest = match[1], match[2] or ""
        tried: set[str] = set()
        for _ in range(ATTEMPTS):
            base = self.saga.discover(name, self.versions.get(name), self.zone).url.rstrip("/")
            if base not in tried:
                tried.add(base)
                yield base + rest


def is_address(url: str) -> bool:
    """Return whether the URL names a service instead of a host."""
    return url.startswith(SCHEME)
