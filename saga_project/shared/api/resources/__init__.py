"""Resources over HTTP: lists in pages, strict bodies, entity tags, and a viewset that joins them."""

from saga_project.shared.api.resources.etags import (
    PreconditionFailed,
    check_match,
    etag_of,
    is_known,
)
from saga_project.shared.api.resources.filters import ChoiceParameter, TimeParameter
from saga_project.shared.api.resources.pages import (
    CursorPages,
    InvalidPageCursor,
    page_of,
    pages,
)
from saga_project.shared.api.resources.routers import ResourceRouter
from saga_project.shared.api.resources.shapes import RowShape, StrictShape, SwitchField
from saga_project.shared.api.resources.viewsets import ChangeableViewSet, ResourceViewSet

__all__ = [
    "ChangeableViewSet",
    "ChoiceParameter",
    "CursorPages",
    "InvalidPageCursor",
    "PreconditionFailed",
    "ResourceRouter",
    "ResourceViewSet",
    "RowShape",
    "StrictShape",
    "SwitchField",
    "TimeParameter",
    "check_match",
    "etag_of",
    "is_known",
    "page_of",
    "pages",
]
