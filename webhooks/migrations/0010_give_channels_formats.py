"""Channels have formats, secrets and options; deliveries know their alerts."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0016_warn_of_tokens_that_end'),
        ('webhooks', '0009_add_notification_rules'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='alert_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), blank=True, db_default=[], default=list, editable=False, help_text='The alerts that it tells of.', size=None),
        ),
        migrations.AddField(
            model_name='delivery',
            name='format',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='Of the payload; empty on those of earlier releases.', max_length=16),
        ),
        migrations.AddField(
            model_name='delivery',
            name='remote_id',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text="The receiver's name for the message, to which later ones are attached.", max_length=64),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='format',
            field=models.CharField(blank=True, db_default='', default='', help_text="Of its messages; empty: by the channel's name.", max_length=16),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='options',
            field=models.JSONField(blank=True, db_default=models.Value({}, output_field=models.JSONField()), default=dict, help_text='What its format needs, such as a template.'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='sealed_secret',
            field=models.TextField(blank=True, db_default='', default='', editable=False),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('remote_id', ''), _negated=True), fields=['endpoint', 'created_at'], name='deliveries_with_a_thread'),
        ),
    ]
