"""Notification rules, the alerts that they find, and the permissions of both."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import updates.models.calendar
from django.db import migrations, models

from registry.identity import roles

SEE = ["view_notificationrule", "view_alert"]


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0016_warn_of_tokens_that_end'),
        ('webhooks', '0001_squashed_0008_reword_help_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='is_about_deliveries',
            field=models.BooleanField(db_default=False, default=False, editable=False, help_text='It tells of deliveries: its own end is no event, or two dead receivers would never rest.'),
        ),
        migrations.CreateModel(
            name='AlertCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('transaction', models.BigIntegerField()),
                ('event', models.BigIntegerField()),
                ('has_default_rules', models.BooleanField(db_default=False, default=False, help_text='Default rules were made; what staff delete of them stays away.')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_alert_cursor')],
            },
        ),
        migrations.CreateModel(
            name='NotificationRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('service_glob', models.CharField(default='*', help_text='Names of services such as pay*; for a rule of no single service.', max_length=128)),
                ('selector', models.CharField(blank=True, default='', help_text='Labels of services, such as env=prod,team!=pay; for a rule of no single service.', max_length=1024)),
                ('name', models.CharField(max_length=128)),
                ('event_types', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), help_text='Types of events, such as deployment.failed or service.*.', size=50)),
                ('min_severity', models.CharField(choices=[('info', 'Info'), ('warning', 'Warning'), ('error', 'Error'), ('critical', 'Critical')], default='info', help_text='Events below it are not told.', max_length=8)),
                ('channels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), help_text="Names of channels: the service's own of that name, else the global one.", size=20)),
                ('delay_seconds', models.PositiveIntegerField(default=0, help_text='A problem that ends sooner is not told.', validators=[django.core.validators.MaxValueValidator(86400)])),
                ('group_seconds', models.PositiveIntegerField(default=10, help_text='What begins within so many seconds is one message.', validators=[django.core.validators.MaxValueValidator(3600)])),
                ('repeat_every_seconds', models.PositiveIntegerField(blank=True, help_text='Tell again so often while it is unresolved; empty: once.', null=True, validators=[django.core.validators.MinValueValidator(60), django.core.validators.MaxValueValidator(2592000)])),
                ('sends_resolved', models.BooleanField(default=True, help_text='Also tell that a problem has ended.')),
                ('quiet_from', models.TimeField(blank=True, help_text='From then until quiet_until only what is critical is told at once.', null=True)),
                ('quiet_until', models.TimeField(blank=True, null=True)),
                ('time_zone', models.CharField(default='UTC', max_length=64, validators=[updates.models.calendar.check_time_zone])),
                ('digest', models.CharField(choices=[('off', 'Off'), ('daily', 'Daily'), ('weekly', 'Weekly')], default='off', help_text='Collect everything into one message a day, or one on Mondays.', max_length=6)),
                ('digest_at', models.TimeField(default='09:00', help_text='On the wall clock of the time zone.')),
                ('is_enabled', models.BooleanField(default=True)),
                ('default_key', models.CharField(blank=True, db_default='', default='', editable=False, help_text='Set on rules that Saga made with the first channel.', max_length=32)),
                ('service', models.ForeignKey(blank=True, help_text='Empty: of every service whose name fits the pattern.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notification_rules', to='registry.service')),
            ],
            options={
                'ordering': ['name', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('service_name', models.CharField(blank=True, db_collation='C', max_length=128)),
                ('problem', models.CharField(help_text='What it is about, such as expired.', max_length=64)),
                ('subject', models.CharField(blank=True, help_text='Such as the instance.', max_length=255)),
                ('event_type', models.CharField(help_text='Of its latest event.', max_length=64)),
                ('severity', models.CharField(choices=[('info', 'Info'), ('warning', 'Warning'), ('error', 'Error'), ('critical', 'Critical')], max_length=8)),
                ('text', models.TextField()),
                ('state', models.CharField(choices=[('open', 'Open'), ('resolved', 'Resolved')], default='open', max_length=8)),
                ('is_momentary', models.BooleanField(default=False, help_text='It has no end: the event is told once.')),
                ('occurrences', models.PositiveIntegerField(default=1)),
                ('opened_at', models.DateTimeField()),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('due_at', models.DateTimeField(blank=True, help_text='When there is something to tell; empty: nothing.', null=True)),
                ('told_at', models.DateTimeField(blank=True, help_text='When it was last told; empty: not yet.', null=True)),
                ('told_severity', models.CharField(blank=True, choices=[('info', 'Info'), ('warning', 'Warning'), ('error', 'Error'), ('critical', 'Critical')], help_text='How bad it was then.', max_length=8)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='webhooks.notificationrule')),
            ],
            options={
                'ordering': ['-opened_at', '-id'],
            },
        ),
        migrations.AddConstraint(
            model_name='notificationrule',
            constraint=models.UniqueConstraint(fields=('service', 'name'), name='one_rule_of_a_name', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='notificationrule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('quiet_from', None), ('quiet_until', None)), models.Q(('quiet_from__isnull', False), ('quiet_until__isnull', False)), _connector='OR'), name='quiet_hours_have_both_ends', violation_error_message='Quiet hours have a beginning and an end.'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='alerts_due'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['service_name'], name='open_alerts_of_service'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(fields=['opened_at'], name='alerts_by_age'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('rule', 'service_name', 'problem', 'subject'), name='one_open_alert_per_subject'),
        ),
        migrations.RunPython(
            roles.granting(
                "webhooks",
                {
                    "viewers": SEE,
                    "operators": SEE,
                    "approvers": SEE,
                    "administrators": ["*"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
