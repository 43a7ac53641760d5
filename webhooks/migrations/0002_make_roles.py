"""Viewers see, operators replay, administrators configure."""

from django.db import migrations

from registry.identity import roles

SEE = ["view_*"]
OPERATE = [*SEE, "replay_inboundcall", "replay_delivery"]


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_create_the_webhook_tables"), ("registry", "0004_make_roles")]

    operations = [
        migrations.RunPython(
            roles.granting(
                "webhooks",
                {
                    "viewers": SEE,
                    "operators": OPERATE,
                    "approvers": OPERATE,
                    "administrators": ["*"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
