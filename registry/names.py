"""Check names, versions and URLs from outside by the rules of ``saga_project.shared.rules``."""

from __future__ import annotations

from saga_project.shared import rules


def is_name(text: str) -> bool:
    """Return whether ``text`` has the form of a name; reserved words have it too."""
    return rules.SERVICE_NAME.matches(text)


def check_service_name(text: str, *, field: str = "service_name") -> str:
    return rules.SERVICE_NAME.check(text, field=field)


def is_glob(text: str) -> bool:
    """Return whether the text stands for several names: ``*``, ``pay*``."""
    return "*" in text


def check_service_glob(text: str, *, field: str = "service_name") -> str:
    return rules.SERVICE_NAME_OR_GLOB.check(text, field=field)


def check_instance_id(text: str, *, field: str = "instance_id") -> str:
    return rules.INSTANCE_ID.check(text, field=field)


def check_version(text: str, *, field: str = "version") -> str:
    return rules.VERSION.check(text, field=field)


def is_version(text: str) -> bool:
    return rules.VERSION.allows(text)


def version_warning(text: str, *, instance: str) -> str:
    """Return the sentence for a heartbeat whose ``version`` cannot be used."""
    return f"{instance}: version '{text[:128]}' is ignored. {rules.VERSION.message}"


def check_url(text: str, *, field: str = "service_url") -> str:
    return rules.URL.check(text, field=field)
