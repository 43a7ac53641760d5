"""Messages carry links and buttons by which their readers approve."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('updates', '0038_let_roles_see_decisions'),
        ('webhooks', '0012_note_what_flaps'),
    ]

    operations = [
        migrations.AddField(
            model_name='endpoint',
            name='sealed_signing_secret',
            field=models.TextField(blank=True, db_default='', default='', editable=False),
        ),
        migrations.CreateModel(
            name='ApprovalLink',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('verdict', models.CharField(choices=[('approved', 'Approved'), ('rejected', 'Rejected')], max_length=8)),
                ('approver', models.CharField(help_text="The person or account that the channel's messages go to.", max_length=255)),
                ('fingerprint', models.CharField(help_text="Of the release's artifact then.", max_length=64)),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('approval', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='updates.approval')),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approval_links', to='webhooks.delivery')),
            ],
        ),
    ]
