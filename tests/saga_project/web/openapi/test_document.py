"""The parts of the OpenAPI document that no route has of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings

from saga_project.web import openapi
from saga_project.web.openapi import completion

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    found: Json = json.loads(openapi.document("required"))
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def parts(node: Any) -> Iterator[Json]:
    """Return every object inside the document."""
    if isinstance(node, dict):
        yield node
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for each in inner:
        yield from parts(each)


def test_document_is_generated_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    generator: Any = SchemaGenerator
    GENERATOR_STATS.reset()

    generator().get_schema(request=None, public=True)

    assert not GENERATOR_STATS, capsys.readouterr().err


def test_document_has_no_words_of_openapi_3_0_or_of_its_generator(document: Json) -> None:
    for part in parts(document):
        assert not {"nullable", "x-spec-enum-id"} & set(part)


def test_types_are_named_once(document: Json) -> None:
    for part in parts(document):
        kinds = part.get("type")
        if isinstance(kinds, list):
            assert len(kinds) == len(set(kinds))


def test_components_are_named_for_clients_and_not_for_the_code(document: Json) -> None:
    names = document["components"]["schemas"]

    assert {"PolicyPage", "PolicyRequest", "PolicyPatch", "Policy"} <= set(names)
    odd = re.compile(r"Shape|Serializer|Patched|Paginated|RequestRequest|ChangePatch")
    assert [name for name in names if odd.search(name)] == []


def test_operations_are_named_in_words(document: Json) -> None:
    for _, _, operation in operations(document):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"])
        assert not re.match(r"(post|patch|put)_", operation["operationId"])
        assert operation["summary"]


def test_each_tag_is_described_and_used(document: Json) -> None:
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}

    assert {tag["name"] for tag in document["tags"]} == used == set(completion.TAGS)
    assert all(tag["description"] for tag in document["tags"])


def test_each_operation_says_how_a_wrong_method_is_answered(document: Json) -> None:
    for path, _, operation in operations(document):
        answer = operation["responses"]["405"]
        name = "ScaiControlError" if path.startswith("/api/v1/registry/") else "Error"
        assert answer["headers"]["Allow"]["schema"] == {"type": "string"}
        assert answer["content"]["application/json"]["schema"]["$ref"].endswith(f"/{name}")


def test_servers_are_the_one_that_answers_and_the_public_address(settings: Settings) -> None:
    generator: Any = SchemaGenerator

    def servers() -> list[str]:
        document = generator().get_schema(request=None, public=True)
        return [server["url"] for server in document["servers"]]

    settings.SAGA_PUBLIC_URL = ""
    alone = servers()
    settings.SAGA_PUBLIC_URL = "https://saga.example.com"
    assert (alone, servers()) == (["/"], ["/", "https://saga.example.com"])


def test_document_of_a_mode_does_not_depend_on_the_mode_that_is_set(settings: Settings) -> None:
    found = {}
    for mode in ("open", "required"):
        settings.SAGA_AUTH = mode
        openapi.document.cache_clear()
        found[mode] = [json.loads(openapi.document(each)) for each in ("open", "required")]

    lookup = [each["paths"]["/api/v1/services/{name}"]["get"]["security"] for each in found["open"]]
    assert lookup == [[{"bearer": []}, {}], [{"bearer": []}]]
    assert found["open"] == found["required"]
