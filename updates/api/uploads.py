"""Artifacts in Saga's own store: upload in chunks, list, download, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import parsers, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.api.configured import owned_or_unowned
from registry.identity import accounts
from saga_project.shared import api, rules
from saga_project.shared.api import fields
from updates import errors
from updates.api import attachments
from updates.artifacts import uploads
from updates.models import Node, Target, Upload
from updates.operations import uploads as operations

READ, WRITE = "artifacts:read", "artifacts:write"
MAX_POSITION = 2**50
UPLOAD_ID = OpenApiParameter("upload_id", str, OpenApiParameter.PATH)


class BytesParser(parsers.BaseParser):
    """The body as it came."""

    media_type = "*/*"

    def parse(  # type: ignore[override]  # any value will do, says the framework
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return bytes(stream.read(api.MAX_BODY_BYTES + 1))


class UploadShape(serializers.Serializer[Any]):
    service_name = fields.TextField(rule=rules.SERVICE_NAME)
    sha256 = fields.TextField(max_length=64, help_text="Of the whole file, 64 hexadecimal digits.")
    size = fields.WholeField(min_value=1, help_text="Bytes.")
    name = fields.TextField(max_length=128, help_text="Of the file, such as shop.tar.gz.")


class UploadSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    service_name = serializers.CharField()
    name = serializers.CharField()
    sha256 = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    received = serializers.IntegerField(help_text="Bytes; the next chunk begins here.")
    is_complete = serializers.BooleanField()
    max_chunk_bytes = serializers.IntegerField()
    path = serializers.CharField(
        help_text="Of the content; with Saga's address it is an artifact_url."
    )
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    used_at = serializers.DateTimeField()


class UploadListSerializer(serializers.Serializer[Any]):
    artifacts = UploadSerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")


class UploadListView(api.SagaView):
    required_scopes = {"GET": READ, "POST": WRITE}

    @extend_schema(
        operation_id="list_artifacts",
        summary="List uploaded artifacts, the newest first",
        tags=["artifacts"],
        parameters=[
            fields.text_parameter(
                "service", "Those of one service.", rule=rules.SERVICE_NAME, or_empty=True
            ),
            *fields.PAGE,
        ],
        responses={200: UploadListSerializer},
    )
    def get(self, request: Request) -> Response:
        limit, offset = api.read_limit(request) or 100, api.read_offset(request)
        rows = _visible(request)
        if service_name := api.read_text(request, "service"):
            rows = rows.filter(service__name=names.check_service_name(service_name))
        page = [body(row) for row in rows[offset : offset + limit]]
        return Response({"artifacts": page, "total": rows.count()})

    @extend_schema(
        operation_id="begin_artifact",
        summary="Begin an upload, or find the one of this digest",
        description="Send the bytes with PUT to its address, in order, from `received` on.",
        tags=["artifacts"],
        request=UploadShape,
        responses={201: UploadSerializer, 200: UploadSerializer},
    )
    def post(self, request: Request) -> Response:
        shape = UploadShape(data=fields.given(api.body_of(request)))
        shape.is_valid(raise_exception=True)
        offer = operations.UploadOffer(**shape.validated_data)
        caller = accounts.caller_of(request.user)
        upload, is_new = operations.begin(offer, by=caller, now=timezone.now())
        return Response(body(upload), status=201 if is_new else 200)


class UploadView(api.SagaView):
    required_scopes = {"GET": READ, "PUT": WRITE, "DELETE": WRITE}
    parser_classes = (BytesParser,)

    @extend_schema(
        operation_id="get_artifact",
        summary="See an uploaded artifact, and how much of it is stored",
        tags=["artifacts"],
        parameters=[UPLOAD_ID],
        responses={200: UploadSerializer},
    )
    def get(self, request: Request, upload_id: str) -> Response:
        return Response(body(_find(request, upload_id)))

    @extend_schema(
        operation_id="append_artifact",
        summary="Upload the next chunk, at most 1 MiB",
        description="Offset 0 begins the file. A chunk that is stored already changes nothing; one that"
        " leaves a gap is 409 and says where to continue. The last chunk completes the artifact if its"
        " SHA-256 is the announced one; else it is deleted.",
        tags=["artifacts"],
        parameters=[
            UPLOAD_ID,
            OpenApiParameter(
                "offset",
                {"type": "integer", "minimum": 0, "maximum": MAX_POSITION, "default": 0},
                description="Position of the chunk's first byte.",
            ),
        ],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: UploadSerializer},
    )
    def put(self, request: Request, upload_id: str) -> Response:
        data = request.data if isinstance(request.data, bytes) else b""
        upload = operations.append(
            _id(upload_id),
            position=_position(request),
            data=data,
            by=accounts.caller_of(request.user),
            now=timezone.now(),
        )
        return Response(body(upload))

    @extend_schema(
        operation_id="delete_artifact",
        summary="Delete an uploaded artifact",
        tags=["artifacts"],
        parameters=[UPLOAD_ID],
        responses={204: None},
    )
    def delete(self, request: Request, upload_id: str) -> Response:
        caller = accounts.caller_of(request.user)
        operations.delete(_id(upload_id), by=caller, now=timezone.now())
        return Response(status=204)


class UploadContentView(api.SagaView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_artifact_content",
        summary="Download an uploaded artifact",
        tags=["artifacts"],
        parameters=[UPLOAD_ID],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, upload_id: str) -> Any:
        upload = _find(request, upload_id)
        if not upload.is_complete:
            raise errors.UploadIncomplete(f"{upload.received} of {upload.size} bytes are stored.")
        Upload.objects.filter(pk=upload.pk).update(used_at=timezone.now())
        response = attachments.respond(
            attachments.begun(uploads.read(upload)),
            filename=f"{upload.sha256}.bin",
            content_type="application/octet-stream",
        )
        response["Content-Length"] = str(upload.size)
        return response


def _visible(request: Request) -> QuerySet[Upload]:
    rows, caller = Upload.objects.select_related("service"), accounts.caller_of(request.user)
    if caller is not None and "nodes:work" in caller.scopes and not caller.is_admin:
        node = Node.objects.filter(account=caller.account.pk).first()
        if node is not None:
            return _installed_on(node, rows)
    return rows.filter(owned_or_unowned(caller))


def _installed_on(node: Node, rows: QuerySet[Upload]) -> QuerySet[Upload]:
    """Return those that a node may download: of services with a target on it."""
    if node.status != Node.Status.APPROVED:
        return rows.none()
    mine = Target.objects.filter(node=node.name)
    return rows.filter(service__in=mine.values("service"))


def _find(request: Request, upload_id: str) -> Upload:
    upload = _visible(request).filter(pk=_id(upload_id)).first()
    if upload is None:
        raise errors.UploadNotFound(f"There is no artifact {upload_id[:64]!r}.")
    return upload


def _position(request: Request) -> int:
    return api.read_integer(request, "offset", default=0, minimum=0, maximum=MAX_POSITION) or 0


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise errors.UploadNotFound(f"There is no artifact {text[:64]!r}.") from None


def body(upload: Upload) -> dict[str, Any]:
    return {
        "id": str(upload.pk),
        "service_name": upload.service.name,
        "name": upload.name,
        "sha256": upload.sha256,
        "size": upload.size,
        "received": upload.received,
        "is_complete": upload.is_complete,
        "max_chunk_bytes": operations.MAX_CHUNK_BYTES,
        "path": uploads.path_of(upload.pk),
        "created_by": upload.created_by,
        "created_at": api.zulu(upload.created_at),
        "used_at": api.zulu(upload.used_at),
    }
