"""``Step.is_way_back`` is called ``is_rollback``; its column keeps its name, so no SQL runs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("updates", "0045_grant_policies_by_label")]

    operations = [
        migrations.AlterField(
            "step", "is_way_back", models.BooleanField(db_column="is_way_back", default=False)
        ),
        migrations.RenameField("step", "is_way_back", "is_rollback"),
    ]
