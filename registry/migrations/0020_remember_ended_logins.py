"""Logins that ended at the provider are kept for as long as sessions that came from them may live."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0019_let_people_own_tokens")]
    operations = [
        migrations.CreateModel(
            name="EndedLogin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "token",
                    models.CharField(help_text="Digest of issuer and jti.", max_length=64, unique=True),
                ),
                ("subject", models.CharField(blank=True, db_index=True, max_length=64)),
                ("sid", models.CharField(blank=True, db_index=True, max_length=64)),
                ("issued_at", models.DateTimeField(help_text="By the provider's clock.")),
                ("received_at", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
