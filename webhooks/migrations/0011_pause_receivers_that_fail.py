"""Receivers that fail are paused and disabled; operators resume them."""

from django.db import migrations, models

from registry.identity import roles

SEE = ["view_receiver"]
RESUME = [*SEE, "resume_receiver"]


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0010_give_channels_formats'),
    ]

    operations = [
        migrations.CreateModel(
            name='Receiver',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(help_text='Of the URL, as deliveries have.', max_length=32, unique=True)),
                ('url', models.CharField(max_length=2048)),
                ('service_name', models.CharField(blank=True, db_collation='C', max_length=128)),
                ('failures', models.PositiveIntegerField(default=0, help_text='In a row.')),
                ('failing_since', models.DateTimeField()),
                ('paused_at', models.DateTimeField(blank=True, help_text='Since then only probes go there.', null=True)),
                ('probe_at', models.DateTimeField(blank=True, null=True)),
                ('disabled_at', models.DateTimeField(blank=True, help_text='Since then nothing goes there until it is resumed.', null=True)),
            ],
            options={
                'ordering': ['-failing_since', 'id'],
                'permissions': [('resume_receiver', 'Can resume receivers')],
            },
        ),
        migrations.RunPython(
            roles.granting(
                "webhooks",
                {
                    "viewers": SEE,
                    "operators": RESUME,
                    "approvers": RESUME,
                    "administrators": ["*"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
