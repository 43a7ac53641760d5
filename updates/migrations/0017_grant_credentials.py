"""Administrators keep credentials; viewers see that there are some."""

from django.db import migrations

from registry.identity import roles


class Migration(migrations.Migration):
    dependencies = [("updates", "0016_keep_credentials_of_hosts"), ("registry", "0004_make_roles")]

    operations = [
        migrations.RunPython(
            roles.granting(
                "updates",
                {
                    "viewers": ["view_credential"],
                    "operators": ["view_credential"],
                    "approvers": ["view_credential"],
                    "administrators": ["*_credential", "view_deployedenvironment"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
