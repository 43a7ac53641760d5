"""Viewers see health checks and their results, administrators configure them."""

from django.db import migrations

from registry.identity import roles


class Migration(migrations.Migration):
    dependencies = [("registry", "0017_check_instances")]

    operations = [
        migrations.RunPython(
            roles.granting(
                "registry",
                {
                    "viewers": ["view_*"],
                    "operators": ["view_*"],
                    "approvers": ["view_*"],
                    "administrators": ["*"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
