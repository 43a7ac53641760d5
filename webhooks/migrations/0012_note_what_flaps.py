"""Instances that became ill too often lately."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0011_pause_receivers_that_fail'),
    ]

    operations = [
        migrations.CreateModel(
            name='Flapping',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('service_name', models.CharField(db_collation='C', max_length=128)),
                ('subject', models.CharField(blank=True, max_length=255)),
                ('fell_at', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(), default=list, size=None)),
                ('last_fell_at', models.DateTimeField(db_index=True)),
                ('began_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('service_name', 'subject'), name='one_flapping_per_subject')],
            },
        ),
    ]
