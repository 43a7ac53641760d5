"""Names of components and operations, as clients that are generated from the document show them; pure."""

from __future__ import annotations

#: The verbs of a viewset's actions, in the names of operations.
_VERBS = {"retrieve": "get", "partial_update": "change", "destroy": "delete"}
#: The same in sentences.
_SENTENCES = {
    "list": "List",
    "get": "See",
    "create": "Create",
    "change": "Change",
    "delete": "Delete",
    "issue": "Issue",
    "revoke": "Revoke",
}


def of_component(name: str) -> str:
    """Return a name such as ``PolicyRequest`` and ``PolicyPatch`` for what is ``PolicyShape`` in the code."""
    is_request, is_change = name.endswith("Request"), name.startswith("Patched")
    plain = name.removeprefix("Patched").removesuffix("Request").removesuffix("Shape")
    if is_change:
        return plain.removesuffix("s").removesuffix("Change") + "Patch"
    return f"{plain.removesuffix('Request')}Request" if is_request else plain


def of_page(name: str) -> str:
    """Return the name of a page of a list."""
    return f"{name.removesuffix('Shape')}Page"


def of_action(action: str, *, thing: str, things: str) -> str:
    """Return the name of a viewset's operation: ``list_policies``, ``change_policy``."""
    verb = _VERBS.get(action, action)
    return f"{verb}_{things if action == 'list' else thing}".replace("-", "_")


def summary(operation_id: str) -> str:
    """Return the name of a viewset's operation as a sentence: *List policies*, *Change a policy*."""
    verb, _, thing = operation_id.partition("_")
    words = thing.replace("_", " ").replace("github", "GitHub")
    if verb == "list":
        return f"List {words}"
    article = "an" if words[0] in "aeiou" else "a"
    return f"{_SENTENCES[verb]} {article} {words}"
