"""``Alert.told_at`` and ``told_severity`` are called ``sent_at`` and ``sent_severity``; no release had them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0014_acknowledge_alerts")]

    operations = [
        migrations.RenameField("alert", "told_at", "sent_at"),
        migrations.RenameField("alert", "told_severity", "sent_severity"),
    ]
