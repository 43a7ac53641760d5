"""Administrators set policies by label; the others see them."""

from django.db import migrations

from registry.identity import roles

SEES = ["view_selectorpolicy"]


class Migration(migrations.Migration):
    dependencies = [("updates", "0044_add_policies_by_label"), ("registry", "0004_make_roles")]

    operations = [
        migrations.RunPython(
            roles.granting(
                "updates",
                {
                    "viewers": SEES,
                    "operators": SEES,
                    "approvers": SEES,
                    "administrators": ["*_selectorpolicy"],
                },
            ),
            migrations.RunPython.noop,
        ),
    ]
