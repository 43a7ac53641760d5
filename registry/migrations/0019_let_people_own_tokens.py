"""People own tokens, through an account each; triggers note when their roles change or they are switched off."""

from django.conf import settings
from django.db import migrations, models

from registry.models import triggers


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0018_let_roles_see_checks"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [
        migrations.AddField(
            model_name="serviceaccount",
            name="person",
            field=models.OneToOneField(
                blank=True,
                editable=False,
                help_text="The person that these tokens speak for; its roles decide what they may do.",
                null=True,
                on_delete=models.deletion.SET_NULL,
                related_name="token_account",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunSQL(triggers.PEOPLE_REVISION.create, triggers.PEOPLE_REVISION.drop),
    ]
