"""XML as other systems write it, read by defusedxml: no entities, no documents from elsewhere."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from updates.errors import SourceUnavailable


def read(body: bytes, *, root: str) -> Element:
    """Return the document, its names without namespaces; raises SourceUnavailable unless it is a ``root``."""
    try:
        document: Element = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as exc:
        raise SourceUnavailable("The source's answer is not the XML that it should be.") from exc
    for element in document.iter():
        element.tag = element.tag.rpartition("}")[2]
    if document.tag != root:
        raise SourceUnavailable(f"The source's answer is {document.tag!r}, not {root!r}.")
    return document


def text_at(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()
