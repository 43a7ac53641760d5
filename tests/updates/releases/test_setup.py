"""The rules of a source's fields, and the addresses that are recognised."""

from __future__ import annotations

from typing import Any

import pytest

from updates.models import Source
from updates.releases import setup


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"kind": "github", "location": "payment"}, "location", "owner/repository"),
        (
            {"kind": "github", "location": "a/b", "options": {"aset": "*"}},
            "options",
            "no option 'aset'",
        ),
        ({"kind": "github", "location": "a/b", "options": {"asset": "x["}}, "options", "unclosed"),
        ({"kind": "github", "location": "a/b", "options": {"asset": 1}}, "options", "text"),
        (
            {"kind": "oci", "location": "acme/app", "options": {"tag_pattern": "("}},
            "options",
            "not a regular expression",
        ),
        ({"kind": "pypi", "location": "x", "options": {"scheme": "x"}}, "options", "one of auto"),
        ({"kind": "pypi", "location": "x", "base_url": "ftp://x"}, "base_url", "URL"),
        ({"kind": "gitea", "location": "a/b"}, "base_url", "Forgejo server"),
        ({"kind": "helm", "location": "app"}, "base_url", "index.yaml"),
        ({"kind": "json", "location": "https://x.example/a"}, "options", "'pointers'"),
        (
            {
                "kind": "json",
                "location": "https://x.example/a",
                "options": {"pointers": {"url": "/u"}},
            },
            "options",
            "at least the version",
        ),
        ({"kind": "s3", "location": "https://x.example/b"}, "options", "'key_pattern'"),
        (
            {"kind": "s3", "location": "https://x.example/b", "options": {"key_pattern": "a.*"}},
            "options",
            "no group",
        ),
        ({"kind": "git", "location": "git@x:y.git"}, "location", "cloned from"),
        ({"kind": "announced", "location": "a/b"}, "location", "leave it empty"),
    ],
)
def test_what_cannot_be_asked_is_named_by_field(
    fields: dict[str, Any], field: str, words: str
) -> None:
    faults = setup.faults(Source(**fields))

    assert list(faults) == [field]
    assert words in faults[field]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "announced", "options": {"scheme": "calver"}},
        {"kind": "github", "location": "a/b", "options": {"asset": "*.tgz", "tag_prefix": "a-"}},
        {
            "kind": "oci",
            "location": "ghcr.io/a/b",
            "options": {"tag_pattern": "(?<version>[0-9]+)"},
        },
        {"kind": "npm", "location": "@a/b", "options": {"scheme": "regex", "version_pattern": "a"}},
        {
            "kind": "git",
            "location": "https://x.example/a.git",
            "options": {"artifact_url": "https://x.example/{tag}"},
        },
    ],
)
def test_what_can_be_asked_has_no_fault(fields: dict[str, Any]) -> None:
    assert setup.faults(Source(**fields)) == {}


@pytest.mark.parametrize(
    ("url", "kind", "location", "base_url"),
    [
        ("https://github.com/acme/payment/releases/tag/v1.0", "github", "acme/payment", ""),
        ("git@github.com:acme/payment.git", "github", "acme/payment", ""),
        ("https://gitlab.com/a/b/c/-/releases", "gitlab", "a/b/c", ""),
        ("https://gitlab.x.example/a/b", "gitlab", "a/b", "https://gitlab.x.example"),
        ("https://codeberg.org/acme/payment", "gitea", "acme/payment", "https://codeberg.org"),
        ("https://hub.docker.com/r/acme/payment/tags", "oci", "acme/payment", ""),
        ("https://hub.docker.com/_/redis", "oci", "redis", ""),
        ("docker pull ghcr.io/acme/payment:1.2", "oci", "ghcr.io/acme/payment", ""),
        ("postgres:17.9-alpine", "oci", "postgres", ""),
        ("registry.x.example:5000/payment", "oci", "registry.x.example:5000/payment", ""),
        ("https://pypi.org/project/Django/", "pypi", "Django", ""),
        ("https://www.npmjs.com/package/@acme/payment", "npm", "@acme/payment", ""),
        ("https://crates.io/crates/serde", "crates", "serde", ""),
        ("https://rubygems.org/gems/rails", "rubygems", "rails", ""),
        ("https://pkg.go.dev/github.com/Acme/pay@v1.2", "go", "github.com/Acme/pay", ""),
        ("https://central.sonatype.com/artifact/com.acme/pay/1.0", "maven", "com.acme:pay", ""),
        ("https://endoflife.date/python", "endoflife", "python", ""),
        ("https://x.example/c/index.yaml#pay", "helm", "pay", "https://x.example/c"),
        ("https://x.example/acme/pay.git", "git", "https://x.example/acme/pay.git", ""),
        ("https://x.example/a.json#/v", "json", "https://x.example/a.json", ""),
    ],
)
def test_the_address_of_a_page_is_recognised(
    url: str, kind: str, location: str, base_url: str
) -> None:
    found = setup.recognise(url)

    assert found is not None
    assert (found.kind, found.location, found.base_url) == (kind, location, base_url)
    source = Source(kind=kind, location=location, base_url=base_url, options=found.options)
    assert setup.faults(source) == {}


@pytest.mark.parametrize(
    "url",
    ["", "acme/payment", "https://x.example/", "https://github.com/acme", "ftp://x/y", "http://["],
)
def test_an_address_of_no_known_kind_is_not_guessed(url: str) -> None:
    assert setup.recognise(url) is None
