"""Filters of lists that refuse what they cannot read."""

from __future__ import annotations

import datetime as dt
from typing import Any

import django_filters
from django import forms

from saga_project.shared.api import parameters


class ChoiceParameter(django_filters.ChoiceFilter):
    """One of the choices, in their own spelling."""

    def __init__(self, *, choices: Any, **options: Any) -> None:
        super().__init__(**{"choices": choices, "empty_label": None, **options})


class TimeTextField(forms.CharField):
    def clean(self, value: Any) -> dt.datetime | None:
        if value is None:
            return None
        text = super().clean(value)
        # A '+' that a caller forgot to encode arrives as a space.
        moment = parameters.parse_time(text.replace(" ", "+")) or parameters.parse_time(text)
        if moment is None:
            raise forms.ValidationError("This must be an RFC 3339 time.")
        return moment


class TimeParameter(django_filters.Filter):
    """A time as the API writes it."""

    field_class = TimeTextField

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "max_length": 64, **options})
