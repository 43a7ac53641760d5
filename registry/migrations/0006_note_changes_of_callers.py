"""Triggers give the callers' revision another value whenever a token or an account changes or goes.

They fire when the transaction commits: the one row is locked only then, when nothing else is waited for.
"""

from __future__ import annotations

from django.db import migrations

from registry.models import triggers


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_callersrevision")]
    operations = [
        migrations.RunSQL(
            triggers.CALLERS_REVISION.create,
            [triggers.CALLERS_REVISION.drop, "DELETE FROM registry_callersrevision"],
        )
    ]
