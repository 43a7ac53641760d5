"""Viewers see, operators act, approvers approve, administrators configure."""

from django.db import migrations

from registry.identity import roles

SEE = ["view_*"]
OPERATE = [*SEE, "change_service", "deregister_service", "change_subscription"]
APPROVE = [*OPERATE, "approve_service"]


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0003_remember_the_last_report"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("axes", "0010_accessattemptexpiration"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunPython(
            roles.granting(
                "registry",
                {
                    "viewers": SEE,
                    "operators": OPERATE,
                    "approvers": APPROVE,
                    "administrators": ["*"],
                },
            ),
            migrations.RunPython.noop,
        ),
        migrations.RunPython(
            roles.granting("auth", {"administrators": ["*_user", "*_group", "view_permission"]}),
            migrations.RunPython.noop,
        ),
        migrations.RunPython(
            roles.granting("django_celery_beat", {"administrators": ["*"]}),
            migrations.RunPython.noop,
        ),
        migrations.RunPython(
            roles.granting("axes", {"administrators": ["*"]}), migrations.RunPython.noop
        ),
    ]
