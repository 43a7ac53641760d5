"""The button that sets the labels of a service."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import AbstractUser
from django.urls import reverse

from registry.models import Service
from registry.operations import labelling
from saga_project.console import roles
from saga_project.shared import labels
from saga_project.shared.admin.verbs import ButtonVerb, Choice, Form, Verb


def verb_of(service: Service, *, user: AbstractUser, now: dt.datetime) -> ButtonVerb:
    def does(form: Form) -> tuple[str, str | None]:
        given = labels.read_text(form["labels"])
        labelling.set_labels(service.name, lambda _: given, by=roles.caller(user), now=now)
        return f"{service.name} has {len(given)} labels.", None

    return Verb(
        name="labels",
        label="Set labels",
        icon="label",
        permission=roles.CHANGE_SERVICE,
        link=reverse("admin:console_service_verb", args=[service.name, "labels"]),
        consequences=[
            "What selects services by label applies to the new labels at once.",
            "Labels that freezes, windows, policies or accounts select by take an administrator.",
        ],
        choices=[
            Choice(
                name="labels",
                label="Labels",
                hint="Such as env=prod team=pay; empty takes all away.",
                value=labels.show(service.labels),
            )
        ],
        does=does,
    )
