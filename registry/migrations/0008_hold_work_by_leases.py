from typing import Any

from django.db import migrations, models

#: Sweeps run in a process of their own now: messages for them would wait in a queue without a consumer.
NO_LONGER_SCHEDULED = (
    "registry.sweep",
    "registry.flush",
    "registry.count_misses",
    "registry.reconcile",
    "registry.purge",
    "updates.sweep_jobs",
    "webhooks.deliver",
)


def forget_schedules(apps: Any, schema_editor: Any) -> None:
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(
        task__in=NO_LONGER_SCHEDULED
    ).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0007_accept_subscriptions"),
        ("django_celery_beat", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkSlot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("work", models.CharField(max_length=32)),
                ("place", models.PositiveSmallIntegerField(default=0)),
                (
                    "holder",
                    models.CharField(
                        help_text="Host and process that have the slot.", max_length=255
                    ),
                ),
                ("token", models.UUIDField()),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("work", "place"), name="one_holder_per_work_slot"
                    )
                ],
            },
        ),
        migrations.RunPython(forget_schedules, migrations.RunPython.noop),
    ]
