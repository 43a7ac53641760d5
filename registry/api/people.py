"""What administrators do for people over HTTP."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors
from registry.identity import accounts
from registry.operations import people
from saga_project.shared import api


class SecondFactorView(api.SagaView):
    required_scopes = {"DELETE": accounts.ADMIN_SCOPE}
    requires_token = True
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="reset_second_factor",
        summary="Reset a person's second factor",
        description="Removes its authenticator app, security keys and recovery codes.",
        tags=["accounts"],
        responses={204: None},
    )
    def delete(self, request: Request, username: str) -> Response:
        person = User.objects.filter(username=username).first() if "\x00" not in username else None
        if person is None:
            raise errors.PersonNotFound(f"There is no person '{username[:150]}'.")
        by = accounts.caller_of(request.user)
        people.reset_second_factor(person, by=by, now=timezone.now())
        return Response(status=204)
