"""A configuration refers to the service's row: a name that is free belongs to no earlier owner."""

import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone


def refer(apps, schema_editor):
    """Give each configuration its service's row, which is made where a name was never registered."""
    services = apps.get_model("registry", "Service").objects
    for row in apps.get_model("webhooks", "Configuration").objects.exclude(service_name=""):
        now = timezone.now()
        service, _ = services.get_or_create(
            name=row.service_name,
            defaults={"status": "deregistered", "registered_at": now, "updated_at": now},
        )
        row.service_id = service.pk
        row.save(update_fields=["service"])


def name(apps, schema_editor):
    configurations = apps.get_model("webhooks", "Configuration").objects
    for row in configurations.exclude(service=None).select_related("service"):
        row.service_name = row.service.name
        row.save(update_fields=["service_name"])


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0006_note_changes_of_callers"),
        ("webhooks", "0004_let_roles_see_github_hooks"),
    ]

    operations = [
        migrations.AddField(
            model_name="configuration",
            name="service",
            field=models.OneToOneField(
                blank=True,
                help_text="Empty for the global configuration.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="webhook_configuration",
                to="registry.service",
            ),
        ),
        migrations.AddField(
            model_name="configuration",
            name="is_administered",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="Of the global one: an administrator set it, so that only administrators may change it.",
            ),
        ),
        migrations.AddField(
            model_name="configuration",
            name="accepts_global_secret",
            field=models.BooleanField(
                default=False,
                help_text="The global secret may also sign for this service, although an account owns it.",
            ),
        ),
        migrations.AlterModelOptions(name="configuration", options={"ordering": ["service__name"]}),
        migrations.AlterField(
            model_name="configuration",
            name="service_name",
            field=models.CharField(blank=True, db_collation="C", default="", max_length=128),
        ),
        migrations.RunPython(refer, name),
    ]
