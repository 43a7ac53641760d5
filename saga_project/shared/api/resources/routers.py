"""Routes of viewsets, spelled as all others: without a trailing slash, with plain converters."""

from __future__ import annotations

from rest_framework import routers


class ResourceRouter(routers.SimpleRouter):
    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)
