"""Permissions of a model that came after the roles."""

from django.db import migrations

from registry.identity import roles

SEE = ["view_githubhook"]


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0003_recover_from_github")]

    operations = [
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
