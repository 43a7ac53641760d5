"""The view that all others of the API are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rest_framework import generics, parsers, throttling, views
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project.shared.api import unknown_parameters
from saga_project.shared.api.bodies import (
    MAX_BODY_BYTES,
    AlwaysJson,
    BodyTooLarge,
    JSONRenderer,
    StrictJSONParser,
)
from saga_project.shared.api.throttling import CallerThrottle
from saga_project.shared.database import faults

logger = logging.getLogger(__name__)


class SagaView(views.APIView):
    """A view validates, makes one call and answers; ``required_scopes`` maps methods to scopes."""

    required_scopes: ClassVar[Mapping[str, str]] = {}
    #: For the OpenAPI document: statuses beside those that all routes share, parameters with their own rule.
    further_statuses: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    own_parameters: ClassVar[tuple[str, ...]] = ()
    #: The view calls other servers, so that no transaction may be open around it.
    calls_out: ClassVar[bool] = False
    #: Whether a query parameter that the route does not declare is 400; else X-Saga-Warning names it.
    rejects_unknown_parameters: ClassVar[bool] = False
    _unknown_parameters: Sequence[str] = ()
    #: The answer depends on an account, so that open mode asks for a token as well.
    requires_token: ClassVar[bool] = False
    _is_retried = False
    parser_classes: tuple[type[parsers.BaseParser], ...] = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    throttle_classes: tuple[type[throttling.BaseThrottle], ...] = (CallerThrottle,)
    content_negotiation_class = AlwaysJson

    def handle_exception(self, exc: Exception) -> Response:
        """Run the handler once more after a deadlock or serialization failure; answer any other error."""
        if faults.can_retry(exc) and not self._is_retried:
            self._is_retried = True
            logger.warning("retried after a conflict", extra={"sqlstate": faults.sqlstate(exc)})
            handler = getattr(self, (self.request.method or "").lower())
            try:
                response: Response = handler(self.request, *self.args, **self.kwargs)
            except Exception as second:  # noqa: BLE001 - answered as any other
                return self.handle_exception(second)
            return response
        return super().handle_exception(exc)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")
        super().initial(request, *args, **kwargs)
        if isinstance(self, generics.GenericAPIView):
            return  # its filters and pages are not in the declaration, and it checks them itself
        self._unknown_parameters = unknown_parameters.unknown(self, request)
        if self._unknown_parameters and self.rejects_unknown_parameters:
            raise unknown_parameters.refusal(list(self._unknown_parameters), self, request)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if self._unknown_parameters:
            answer[unknown_parameters.WARNING_HEADER] = unknown_parameters.warning(
                self._unknown_parameters
            )
        return answer


def view_of(callback: Any) -> SagaView | None:
    """Return an instance of the view behind a route, with the methods that the route has; None for others."""
    made = getattr(callback, "cls", None)
    if not isinstance(made, type) or not issubclass(made, SagaView):
        return None
    view = made(**getattr(callback, "initkwargs", {}))
    for method, action in (getattr(callback, "actions", None) or {}).items():
        setattr(view, method, getattr(view, action))
    return view
