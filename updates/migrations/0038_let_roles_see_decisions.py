"""Each role sees what was decided about approvals."""

from django.db import migrations

from registry.identity import roles

SEES = ["view_approvaldecision"]


class Migration(migrations.Migration):
    dependencies = [("updates", "0037_count_approvals")]

    operations = [
        migrations.RunPython(
            roles.granting("updates", dict.fromkeys(roles.GROUPS, SEES)),
            migrations.RunPython.noop,
        ),
    ]
