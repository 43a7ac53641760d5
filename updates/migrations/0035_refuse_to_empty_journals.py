"""History and audit trail reject TRUNCATE from every role."""

from __future__ import annotations

from django.db import migrations

from updates.models import triggers


class Migration(migrations.Migration):
    dependencies = [("updates", "0034_store_uploads")]
    operations = [migrations.RunSQL(triggers.NEVER_EMPTIED.create, triggers.NEVER_EMPTIED.drop)]
