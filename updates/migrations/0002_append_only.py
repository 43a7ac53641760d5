"""History and audit trail reject UPDATE and DELETE from every role."""

from __future__ import annotations

from django.db import migrations

REFUSE = """
CREATE FUNCTION updates_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER history_is_append_only BEFORE UPDATE OR DELETE ON updates_historyentry
    FOR EACH ROW EXECUTE FUNCTION updates_refuse_change();
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON updates_auditentry
    FOR EACH ROW EXECUTE FUNCTION updates_refuse_change();
"""
ALLOW = """
DROP TRIGGER audit_is_append_only ON updates_auditentry;
DROP TRIGGER history_is_append_only ON updates_historyentry;
DROP FUNCTION updates_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("updates", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
