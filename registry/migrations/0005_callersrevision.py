from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_make_roles")]

    operations = [
        migrations.CreateModel(
            name="CallersRevision",
            fields=[
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("value", models.UUIDField()),
            ],
        ),
    ]
