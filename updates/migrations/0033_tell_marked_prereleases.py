from typing import Any

from django.db import migrations, models


def keep_what_sources_said(apps: Any, schema_editor: Any) -> None:
    """What is on record may be either; the next answer of the source tells which."""
    releases = apps.get_model("updates", "Release").objects.filter(is_prerelease=True)
    releases.exclude(origin="announced").update(is_marked_prerelease=True)


class Migration(migrations.Migration):
    dependencies = [("updates", "0032_default_new_columns_for_the_release_before")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="is_marked_prerelease",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Its source says so; what its version says depends on the policy's scheme.",
            ),
        ),
        migrations.RunPython(keep_what_sources_said, migrations.RunPython.noop, elidable=True),
    ]
