"""Several people approve, requests expire, and releases name their authors."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0018_let_roles_see_checks'),
        ('updates', '0036_forward_the_audit_trail'),
    ]

    operations = [
        migrations.AddField(
            model_name='approval',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='When a request without a decision expires; empty: never.', null=True),
        ),
        migrations.AddField(
            model_name='approval',
            name='required_approvals',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='How many different people must approve.'),
        ),
        migrations.AddField(
            model_name='policy',
            name='approval_expires_after_hours',
            field=models.PositiveSmallIntegerField(blank=True, help_text='A request without a decision expires after so many hours; empty: it stays.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(8760)]),
        ),
        migrations.AddField(
            model_name='policy',
            name='required_approvals',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='How many different people must approve; a rejection by one of them ends it.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10)]),
        ),
        migrations.AddField(
            model_name='release',
            name='authors',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255), blank=True, db_default=[], default=list, help_text='The people and accounts that announced it, or added its artifact.', size=None),
        ),
        migrations.AlterField(
            model_name='approval',
            name='state',
            field=models.CharField(choices=[('pending', 'Pending'), ('approved', 'Approved'), ('rejected', 'Rejected'), ('superseded', 'Superseded'), ('expired', 'Expired')], default='pending', max_length=10),
        ),
        migrations.CreateModel(
            name='ApprovalDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verdict', models.CharField(choices=[('approved', 'Approved'), ('rejected', 'Rejected')], max_length=8)),
                ('decided_by', models.CharField(help_text='The person or account.', max_length=255)),
                ('token_prefix', models.CharField(blank=True, help_text='How the token begins; empty for people.', max_length=16)),
                ('way', models.CharField(choices=[('api', 'API'), ('console', 'Console'), ('link', 'Link'), ('slack', 'Slack')], max_length=8)),
                ('reason', models.TextField(blank=True)),
                ('decided_at', models.DateTimeField()),
                ('account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='registry.serviceaccount')),
                ('approval', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='updates.approval')),
            ],
            options={
                'ordering': ['decided_at', 'id'],
                'constraints': [models.UniqueConstraint(fields=('approval', 'decided_by', 'verdict'), name='one_decision_per_person')],
            },
        ),
    ]
