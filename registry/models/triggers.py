"""Database triggers of the registry."""

from __future__ import annotations

from saga_project.shared.database.triggers import TriggerSet

#: Give the callers' revision another value with each change of a token or an account, on commit.
CALLERS_REVISION = TriggerSet(
    tables={
        "token_change_is_noted": "registry_token",
        "account_change_is_noted": "registry_serviceaccount",
        "token_truncation_is_noted": "registry_token",
        "account_truncation_is_noted": "registry_serviceaccount",
    },
    create="""
CREATE FUNCTION registry_note_change_of_callers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO registry_callersrevision AS known (id, value) VALUES (1, gen_random_uuid())
    ON CONFLICT (id) DO UPDATE SET value = excluded.value
    -- Once for a transaction, however many rows it changed.
    WHERE known.xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER token_change_is_noted
    AFTER UPDATE OF account_id, digest, scopes, expires_at, revoked_at OR DELETE ON registry_token
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION registry_note_change_of_callers();
CREATE CONSTRAINT TRIGGER account_change_is_noted
    AFTER UPDATE OR DELETE ON registry_serviceaccount
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION registry_note_change_of_callers();
CREATE TRIGGER token_truncation_is_noted AFTER TRUNCATE ON registry_token
    FOR EACH STATEMENT EXECUTE FUNCTION registry_note_change_of_callers();
CREATE TRIGGER account_truncation_is_noted AFTER TRUNCATE ON registry_serviceaccount
    FOR EACH STATEMENT EXECUTE FUNCTION registry_note_change_of_callers();
""",
    drop="""
DROP TRIGGER account_truncation_is_noted ON registry_serviceaccount;
DROP TRIGGER token_truncation_is_noted ON registry_token;
DROP TRIGGER account_change_is_noted ON registry_serviceaccount;
DROP TRIGGER token_change_is_noted ON registry_token;
DROP FUNCTION registry_note_change_of_callers();
""",
)

#: The same for the roles of people, and for people that are switched off.
PEOPLE_REVISION = TriggerSet(
    tables={
        "person_change_is_noted": "auth_user",
        "role_change_is_noted": "auth_user_groups",
        "role_truncation_is_noted": "auth_user_groups",
        "role_name_is_noted": "auth_group",
    },
    create="""
CREATE FUNCTION registry_note_change_of_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO registry_callersrevision AS known (id, value) VALUES (1, gen_random_uuid())
    ON CONFLICT (id) DO UPDATE SET value = excluded.value
    WHERE known.xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER person_change_is_noted AFTER UPDATE ON auth_user
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.username, OLD.is_active, OLD.is_staff, OLD.is_superuser)
        IS DISTINCT FROM (NEW.username, NEW.is_active, NEW.is_staff, NEW.is_superuser))
    EXECUTE FUNCTION registry_note_change_of_people();
CREATE CONSTRAINT TRIGGER role_change_is_noted AFTER INSERT OR UPDATE OR DELETE ON auth_user_groups
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION registry_note_change_of_people();
CREATE TRIGGER role_truncation_is_noted AFTER TRUNCATE ON auth_user_groups
    FOR EACH STATEMENT EXECUTE FUNCTION registry_note_change_of_people();
CREATE CONSTRAINT TRIGGER role_name_is_noted AFTER UPDATE ON auth_group
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name)
    EXECUTE FUNCTION registry_note_change_of_people();
""",
    drop="""
DROP TRIGGER role_name_is_noted ON auth_group;
DROP TRIGGER role_truncation_is_noted ON auth_user_groups;
DROP TRIGGER role_change_is_noted ON auth_user_groups;
DROP TRIGGER person_change_is_noted ON auth_user;
DROP FUNCTION registry_note_change_of_people();
""",
)
