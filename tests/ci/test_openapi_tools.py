"""The OpenAPI document satisfies Redocly and Spectral."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saga_project.web import openapi
from tests.ci import openapi_tools

pytestmark = pytest.mark.xdist_group("openapi tools")

LINTERS = ["lint_with_redocly", "lint_with_spectral"]


@pytest.mark.parametrize("auth", ["open", "required"])
@pytest.mark.parametrize("linter", LINTERS)
def test_document_has_no_error_and_no_warning(linter: str, auth: str, tmp_path: Path) -> None:
    tools = openapi_tools.with_npm()
    document = tmp_path / "saga.json"
    document.write_bytes(openapi.document(auth))

    getattr(tools, linter)(document)


@pytest.mark.parametrize("linter", LINTERS)
def test_fault_of_the_document_is_found(linter: str, tmp_path: Path) -> None:
    tools = openapi_tools.with_npm()
    document: dict[str, Any] = json.loads(openapi.document("required"))
    del document["paths"]["/api/v1/services/{name}"]["get"]["operationId"]
    broken = tmp_path / "saga.json"
    broken.write_text(json.dumps(document))

    with pytest.raises(tools.ToolFailed, match=r"operation-?operationId"):
        getattr(tools, linter)(broken)
