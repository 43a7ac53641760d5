"""Decisions say what tells their person from others; PostgreSQL refuses an approval by too few people."""

import django.contrib.postgres.fields
from django.db import migrations, models

from updates.models import triggers


class Migration(migrations.Migration):

    dependencies = [
        ('updates', '0040_grant_nodes'),
    ]

    operations = [
        migrations.AddField(
            model_name='approvaldecision',
            name='marks',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=300), blank=True, db_default=[], default=list, help_text="What told this person from others then; a decision with one of them is the same person's.", size=None),
        ),
        migrations.RunSQL(triggers.ENOUGH_APPROVALS.create, triggers.ENOUGH_APPROVALS.drop),
    ]
