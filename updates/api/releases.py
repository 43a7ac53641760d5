"""Releases: what is on record of each service, and their states."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors as errors_of_registry
from registry import names
from registry.identity import accounts
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources
from updates import errors, operations
from updates.models import Release

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
PAGES = resources.pages("releases", ordering=("-id",))
RELEASE_ID = OpenApiParameter("release_id", str, OpenApiParameter.PATH)


class ReleaseSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    service_name = serializers.CharField()
    version = serializers.CharField()
    state = serializers.ChoiceField(choices=Release.State.choices)
    state_reason = serializers.CharField(allow_null=True)
    channel = serializers.CharField(allow_null=True)
    is_prerelease = serializers.BooleanField()
    artifact_url = serializers.CharField(allow_null=True)
    artifact_type = serializers.ChoiceField(choices=Release.ArtifactType.choices)
    artifact_problem = serializers.CharField(
        allow_null=True, help_text="Why no file could be chosen, though the source has files."
    )
    checksum = serializers.CharField(allow_null=True)
    size = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    origin = serializers.CharField(help_text="The kind of source that reported it.")
    published_at = serializers.DateTimeField(allow_null=True)
    recorded_at = serializers.DateTimeField()


class ReleaseListSerializer(serializers.Serializer[Any]):
    releases = ReleaseSerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class ReasonShape(serializers.Serializer[Any]):
    reason = fields.TextField(max_length=1000)


class OptionalReasonShape(serializers.Serializer[Any]):
    reason = fields.TextField(required=False, allow_null=True, allow_blank=True, max_length=1000)


class ReleaseListView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="list_releases",
        summary="List releases, the newest on record first",
        tags=["releases"],
        parameters=[
            fields.text_parameter(
                "service", "Those of one service.", rule=rules.SERVICE_NAME, or_empty=True
            ),
            fields.parameter("state", "Those in one state.", choices=Release.State.values),
            *fields.CURSOR_PAGE,
        ],
        responses={200: ReleaseListSerializer},
    )
    def get(self, request: Request) -> Response:
        rows = Release.objects.select_related("service")
        if service_name := api.read_text(request, "service"):
            rows = rows.filter(service__name=names.check_service_name(service_name))
        if state := api.read_choice(request, "state", Release.State.values):
            rows = rows.filter(state=state)
        return Response(resources.page_of(request, rows, by=PAGES, shown=body))


class ReleaseView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="get_release",
        summary="See a release",
        tags=["releases"],
        parameters=[RELEASE_ID],
        responses={200: ReleaseSerializer},
    )
    def get(self, request: Request, release_id: str) -> Response:
        return Response(body(_find(release_id)))


class _MoveView(api.SagaView):
    required_scopes = {"POST": "updates:deploy"}
    shape: type[serializers.Serializer[Any]] = ReasonShape
    operation: Callable[..., None]

    def move(self, request: Request, release_id: str) -> Response:
        shape = self.shape(data=fields.given(api.body_of(request)))
        shape.is_valid(raise_exception=True)
        release = _find(release_id)
        service, caller = release.service, accounts.caller_of(request.user)
        accounts.check_may_change(caller, service.name, owner_id=service.account_id)
        if caller is not None and caller.person and not caller.has_scope("approvals:decide"):
            raise errors_of_registry.ScopeMissing(
                "Approvers decide about releases, as in the console."
            )
        type(self).operation(
            release,
            by=str(caller) if caller else "anonymous",
            reason=shape.validated_data.get("reason", ""),
            at=timezone.now(),
        )
        return Response(body(_find(release_id)))


class QuarantineView(_MoveView):
    operation = staticmethod(operations.quarantine)

    @extend_schema(
        operation_id="quarantine_release",
        summary="Quarantine a release: no policy deploys it until it is available again",
        tags=["releases"],
        parameters=[RELEASE_ID],
        request=ReasonShape,
        responses={200: ReleaseSerializer},
    )
    def post(self, request: Request, release_id: str) -> Response:
        return self.move(request, release_id)


class WithdrawView(_MoveView):
    operation = staticmethod(operations.withdraw)

    @extend_schema(
        operation_id="withdraw_release",
        summary="Withdraw a release: it cannot be deployed until it is available again",
        tags=["releases"],
        parameters=[RELEASE_ID],
        request=ReasonShape,
        responses={200: ReleaseSerializer},
    )
    def post(self, request: Request, release_id: str) -> Response:
        return self.move(request, release_id)


class MakeAvailableView(_MoveView):
    shape = OptionalReasonShape
    operation = staticmethod(operations.make_available)

    @extend_schema(
        operation_id="make_release_available",
        summary="Make a quarantined or withdrawn release available again",
        tags=["releases"],
        parameters=[RELEASE_ID],
        request=OptionalReasonShape,
        responses={200: ReleaseSerializer},
    )
    def post(self, request: Request, release_id: str) -> Response:
        return self.move(request, release_id)


def _find(release_id: str) -> Release:
    is_number = _NUMBER.fullmatch(release_id) is not None
    rows = Release.objects.select_related("service")
    release = rows.filter(pk=int(release_id)).first() if is_number else None
    if release is None:
        raise errors.UnknownRelease(f"There is no release {release_id[:64]!r}.")
    return release


def body(release: Release) -> dict[str, Any]:
    return {
        "id": release.pk,
        "service_name": release.service.name,
        "version": release.version,
        "state": release.state,
        "state_reason": release.state_reason or None,
        "channel": release.channel or None,
        "is_prerelease": release.is_prerelease,
        "artifact_url": release.artifact_url or None,
        "artifact_type": release.artifact_type,
        "artifact_problem": release.artifact_problem or None,
        "checksum": release.checksum or None,
        "size": release.size_bytes,
        "origin": release.origin,
        "published_at": api.zulu(release.published_at),
        "recorded_at": api.zulu(release.recorded_at),
    }
