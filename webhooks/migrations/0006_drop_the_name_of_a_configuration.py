from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0005_refer_to_the_service")]

    operations = [
        migrations.RemoveField(model_name="configuration", name="service_name"),
        migrations.AddConstraint(
            model_name="configuration",
            constraint=models.UniqueConstraint(
                fields=["service"], nulls_distinct=False, name="one_global_configuration"
            ),
        ),
    ]
