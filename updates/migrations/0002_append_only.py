"""History and audit trail reject UPDATE and DELETE from every role."""

from __future__ import annotations

from django.db import migrations

from updates.models import triggers


class Migration(migrations.Migration):
    dependencies = [("updates", "0001_initial")]
    operations = [migrations.RunSQL(triggers.APPEND_ONLY.create, triggers.APPEND_ONLY.drop)]
