"""The rows of the admin's lists, drawn in the console's words.

Unfold renders templates for single cells and works the headers out again for every row; a list of fifty rows
took it 100 ms. Here a cell is one string.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django import template
from django.contrib.admin.templatetags import admin_list, admin_urls
from django.contrib.admin.utils import display_for_field, display_for_value, lookup_field
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Field, Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator, capfirst

from registry import names
from registry.models import Service
from saga_project.console.templatetags import console

register = template.Library()

LONGEST_TEXT = 240
CHECKBOX = "action_checkbox"
#: A column that is so called is drawn with its units.
SECONDS = "_seconds"
#: Unfold's words for how a label looks, in the console's tones.
_TONES = {"success": "good", "warning": "warn", "danger": "bad", "info": "busy"}
_TOGGLE = mark_safe(
    '<input type="checkbox" id="action-toggle" class="action-toggle" aria-label="Select all rows">'
)


@register.inclusion_tag("console/rows.html")
def change_list_rows(cl: ChangeList) -> dict[str, Any]:
    headers = list(admin_list.result_headers(cl))
    for header, name in zip(headers, cl.list_display, strict=True):
        if str(name).endswith(SECONDS):
            header["text"] = str(header["text"]).removesuffix(" seconds")
    titles = [capfirst(str(header["text"])) for header in headers]
    if cl.list_display[0] == CHECKBOX:
        headers[0]["text"] = _TOGGLE
    return {"headers": headers, "rows": [list(_cells(cl, row, titles)) for row in cl.result_list]}


@register.simple_tag
def export_links(cl: ChangeList) -> SafeString | str:
    """Return links to the rows as files, with the list's filters; nothing where a list has none."""
    forms: tuple[str, ...] = getattr(cl.model_admin, "export_forms", ())
    if not forms:
        return ""
    name, query = f"admin:{cl.opts.app_label}_{cl.opts.model_name}_export", cl.get_query_string()
    links = format_html_join(
        " ",
        '<a href="{}{}">{}</a>',
        ((reverse(name, args=[form]), query, form.upper()) for form in forms),
    )
    return format_html('<span class="sg-exports">Export {}</span>', links)


def _cells(cl: ChangeList, row: Model, titles: list[str]) -> Iterator[SafeString]:
    link = _link(cl, row)
    for name, title in zip(cl.list_display, titles, strict=True):
        if name == CHECKBOX:
            box = cl.model_admin.model._meta.verbose_name
            yield format_html(
                '<td class="sg-check"><input type="checkbox" name="_selected_action" value="{}"'
                ' class="action-select" aria-label="Select {} {}"></td>',
                row.pk,
                box,
                row,
            )
            continue
        shown = _shown(cl, row, str(name), is_linked=bool(link))
        if link:
            yield format_html(
                '<th scope="row" class="field-{}"><a href="{}">{}</a></th>', name, link, shown
            )
            link = ""
        elif shown:
            yield format_html('<td class="field-{}" data-label="{}">{}</td>', name, title, shown)
        else:
            yield format_html('<td class="field-{} sg-nothing">–</td>', name)


def _link(cl: ChangeList, row: Model) -> str:
    """Return where the row's first column leads, with the filters to come back to."""
    if cl.list_display_links is None:
        return ""
    kept: dict[str, Any] = {"preserved_filters": cl.preserved_filters, "opts": cl.opts}
    return str(admin_urls.add_preserved_filters(kept, cl.url_for_result(row)))


def _shown(cl: ChangeList, row: Model, name: str, *, is_linked: bool) -> SafeString | str:
    """Return what stands in a cell, which may be a link already; "" where there is nothing to say."""
    try:
        field, attribute, value = lookup_field(name, row, cl.model_admin)
    except ObjectDoesNotExist:
        return ""
    if value is None or value == "":
        return str(getattr(attribute, "empty_value_display", ""))
    if tones := getattr(attribute, "label", None):
        return _badge(value, tones)
    if name.endswith(SECONDS):
        return console.seconds(value)
    if name == "progress":
        return f"{value} %"
    if not is_linked and name in ("service", "service_name") and (link := _service_link(value)):
        return link
    return _plain(value, field if isinstance(field, Field) else None)


def _badge(value: Any, tones: dict[str, str]) -> SafeString:
    """Draw a label: a word, or a word and what to say for it."""
    word, text = value if isinstance(value, tuple) else (str(value), str(value))
    known = word.lower().replace(" ", "_")
    if known in console.STATES:
        return console.state(known)
    return console.badge(_TONES.get(tones.get(word, ""), "mute"), str(text).lower())


def _service_link(value: Any) -> SafeString | None:
    name = value.name if isinstance(value, Service) else str(value)
    if not names.is_name(name):
        return None
    address = reverse("admin:console_service", args=[name])
    return format_html('<a href="{}"><bdi>{}</bdi></a>', address, name)


def _plain(value: Any, field: Field[Any, Any] | None) -> SafeString | str:
    if isinstance(value, bool):
        return console.badge(*(("good", "yes") if value else ("mute", "no")))
    if isinstance(value, dt.datetime):
        return console.at(value)
    if isinstance(value, dict):
        found = console.facts(value)
        pairs = format_html_join(" ", "<span>{} <bdi>{}</bdi></span>", _short(found))
        return format_html('<span class="sg-facts">{}</span>', pairs) if found else ""
    if isinstance(value, list):
        return format_html_join(", ", "<bdi>{}</bdi>", ((str(item),) for item in value))
    if isinstance(value, Model):
        return format_html("<bdi>{}</bdi>", value)
    if field is not None and (field.choices or not isinstance(value, str)):
        return display_for_field(value, field, "")
    if isinstance(value, str) and not isinstance(value, SafeString):
        return format_html("<bdi>{}</bdi>", Truncator(value).chars(LONGEST_TEXT))
    return display_for_value(value, "")


def _short(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(key, Truncator(value).chars(LONGEST_TEXT)) for key, value in pairs]
