"""How far the audit trail was sent on."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("updates", "0035_refuse_to_empty_journals")]
    operations = [
        migrations.CreateModel(
            name="AuditCursor",
            fields=[
                (
                    "receiver",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                ("sequence", models.BigIntegerField(db_default=0, default=0)),
            ],
        ),
    ]
