"""Rows that apply to services by their labels, and what labels they ask about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db import models

from saga_project.shared import labels


class Selecting(models.Model):
    """A row of the administrators that applies to the services that its selector selects.

    Whether it applies is theirs to decide: labels that a selector names are changed by
    administrators only.
    """

    selector = models.CharField(
        max_length=labels.MAX_SELECTOR_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="Of services with such labels, such as env=prod,team=pay.",
    )

    class Meta:
        abstract = True

    def selects(self, service_labels: Mapping[str, str]) -> bool:
        """Return whether its selector selects a service with these labels; an empty one selects none."""
        return labels.selects(self.selector, service_labels)


def selected_keys() -> frozenset[str]:
    """Return the names of the labels that selectors of such rows ask about; a query for each model."""
    return frozenset(
        requirement.key
        for selector in _selectors()
        if labels.SELECTOR.fault(selector) is None
        for requirement in labels.parse(selector).requirements
    )


def _selectors() -> Iterator[str]:
    for model in apps.get_models():
        if issubclass(model, Selecting):
            rows: Any = model._meta.default_manager
            yield from rows.exclude(selector="").values_list("selector", flat=True).distinct()
