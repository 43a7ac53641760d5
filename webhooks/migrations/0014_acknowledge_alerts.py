"""Operators acknowledge alerts; administrators see the links that were sent."""

from django.db import migrations, models

from registry.identity import roles

ACKNOWLEDGE = ["acknowledge_alert"]


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0013_send_links_to_approvers'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='alert',
            options={'ordering': ['-opened_at', '-id'], 'permissions': [('acknowledge_alert', 'Can acknowledge alerts')]},
        ),
        migrations.AddField(
            model_name='alert',
            name='acknowledged_at',
            field=models.DateTimeField(blank=True, help_text='Since then it is not repeated, unless it becomes worse.', null=True),
        ),
        migrations.AddField(
            model_name='alert',
            name='acknowledged_by',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.RunPython(
            roles.granting(
                "webhooks",
                {
                    "operators": ACKNOWLEDGE,
                    "approvers": ACKNOWLEDGE,
                    "administrators": [*ACKNOWLEDGE, "view_approvallink"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
