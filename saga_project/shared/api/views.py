"""The view that all others of the API are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import parsers, views
from rest_framework.request import Request

from saga_project.shared.api.bodies import (
    MAX_BODY_BYTES,
    BodyTooLarge,
    JSONRenderer,
    JsonWhateverIsAccepted,
    StrictJSONParser,
)


class SagaView(views.APIView):
    """A view validates, makes one call and answers; ``required_scopes`` maps methods to scopes."""

    required_scopes: ClassVar[Mapping[str, str]] = {}
    #: For the OpenAPI document: statuses beside those that all routes share, parameters with their own rule.
    further_statuses: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    own_parameters: ClassVar[tuple[str, ...]] = ()
    parser_classes: tuple[type[parsers.BaseParser], ...] = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JsonWhateverIsAccepted

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
        super().initial(request, *args, **kwargs)
