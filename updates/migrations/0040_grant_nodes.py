"""Administrators approve and revoke nodes; the others see them."""

from django.db import migrations

from registry.identity import roles


class Migration(migrations.Migration):
    dependencies = [("updates", "0039_join_nodes"), ("registry", "0004_make_roles")]

    operations = [
        migrations.RunPython(
            roles.granting(
                "updates",
                {
                    "viewers": ["view_node"],
                    "operators": ["view_node"],
                    "approvers": ["view_node"],
                    "administrators": ["view_node", "approve_node"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
