"""Viewers see, operators deploy and steer, approvers decide, administrators configure."""

from django.db import migrations

from registry.identity import roles

SEE = ["view_*"]
OPERATE = [*SEE, "add_job", "operate_job", "*_hold"]
APPROVE = [*OPERATE, "decide_approval", "acknowledge_job", "move_release", "override_calendar"]


class Migration(migrations.Migration):
    dependencies = [("updates", "0008_ask_two_persons"), ("registry", "0004_make_roles")]

    operations = [
        migrations.RunPython(
            roles.granting(
                "updates",
                {
                    "viewers": SEE,
                    "operators": OPERATE,
                    "approvers": APPROVE,
                    "administrators": ["*"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
