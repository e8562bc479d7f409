"""Test mode, scopes, uploads, idempotency keys, rate limits, and storage that follows the rows that described it."""

from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

TEST_MODE = """
ALTER TABLE users
    ADD COLUMN test_mode boolean NOT NULL DEFAULT false,
    ADD COLUMN password_version int NOT NULL DEFAULT 1,
    ADD CONSTRAINT users_password_version_positive CHECK (password_version >= 1);
COMMENT ON COLUMN users.test_mode IS 'What this user makes from now on never reaches an agent.';
COMMENT ON COLUMN users.password_version IS 'Counts changes of the password, not of its hash: '
    'a sign-in that checked the one before must come too late.';

ALTER TABLE api_keys
    ADD COLUMN test_mode boolean NOT NULL DEFAULT false,
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{tasks:read,tasks:write}',
    ADD CONSTRAINT api_keys_scopes_known CHECK
        (scopes <@ '{tasks:read,tasks:write}'::text[] AND cardinality(scopes) > 0);
COMMENT ON COLUMN api_keys.scopes IS 'What the key may do; a refused request says which scope it lacks.';
"""

TASKS = """
ALTER TABLE tasks
    ADD COLUMN options jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN retry_of uuid,
    ADD COLUMN lost smallint NOT NULL DEFAULT 0,
    ADD COLUMN test_mode boolean NOT NULL DEFAULT false,
    ADD COLUMN sandbox_outcome text,
    ADD COLUMN sandbox_due_at timestamptz,
    ADD CONSTRAINT tasks_options_is_an_object CHECK (jsonb_typeof(options) = 'object'),
    ADD CONSTRAINT tasks_metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object'),
    ADD CONSTRAINT tasks_lost_counts_up CHECK (lost >= 0),
    ADD CONSTRAINT tasks_sandbox_means_test_mode CHECK (test_mode = (sandbox_outcome IS NOT NULL)),
    ADD CONSTRAINT tasks_sandbox_due_has_an_outcome CHECK (sandbox_due_at IS NULL OR test_mode);
COMMENT ON COLUMN tasks.metadata IS 'The client''s own words, given back as they came.';
COMMENT ON COLUMN tasks.retry_of IS 'The finished task whose photo this one takes again; it may be deleted by now.';
COMMENT ON COLUMN tasks.lost IS 'How often an agent began and fell silent.';
COMMENT ON COLUMN tasks.sandbox_outcome IS 'How a task in test mode ends; no agent ever sees it.';
COMMENT ON COLUMN tasks.sandbox_due_at IS 'When it ends so; null with an outcome that never comes.';
CREATE INDEX tasks_sandbox_due ON tasks (sandbox_due_at) WHERE finished_at IS NULL AND sandbox_due_at IS NOT NULL;
CREATE INDEX tasks_in_flight ON tasks (user_id, finished_at, api_key_id);
CREATE INDEX tasks_queue ON tasks (id) WHERE status IN ('INITIAL', 'PENDING') AND NOT test_mode;
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE erased_tasks (
    request_uuid  uuid PRIMARY KEY,
    output_bucket text NOT NULL,
    erased_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX erased_tasks_by_age ON erased_tasks (erased_at);
COMMENT ON TABLE erased_tasks IS 'Tasks that were deleted while open or within 25 hours of their end: '
    'an agent may still write a model and report it.';
"""

TASKS_GUARD = """
CREATE OR REPLACE FUNCTION tasks_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    states CONSTANT text[] := ARRAY['INITIAL', 'PENDING', 'IN_PROGRESS'];
    rule text;
BEGIN
    IF (NEW.id, NEW.request_uuid, NEW.client_type, NEW.user_id, NEW.api_key_id,
        NEW.photo_id, NEW.output_bucket, NEW.created_at{new})
       IS DISTINCT FROM
       (OLD.id, OLD.request_uuid, OLD.client_type, OLD.user_id, OLD.api_key_id,
        OLD.photo_id, OLD.output_bucket, OLD.created_at{old})
    THEN
        rule := 'tasks_origin_never_changes';
    ELSIF OLD.finished_at IS NOT NULL AND
       (NEW.status, NEW.model_id, NEW.failure_code, NEW.failure_message, NEW.skin_color_hex, NEW.finished_at)
       IS DISTINCT FROM
       (OLD.status, OLD.model_id, OLD.failure_code, OLD.failure_message, OLD.skin_color_hex, OLD.finished_at)
    THEN
        rule := 'tasks_terminal_never_changes';
    ELSIF NEW.progress < OLD.progress THEN
        rule := 'tasks_progress_never_falls';
    ELSIF NEW.revision < OLD.revision THEN
        rule := 'tasks_revision_never_falls';
    ELSIF NEW.attempt < OLD.attempt THEN
        rule := 'tasks_attempt_never_falls';
    ELSIF NEW.status <> OLD.status AND NEW.revision = OLD.revision THEN
        rule := 'tasks_change_raises_revision';
    ELSIF array_position(states, NEW.status) < array_position(states, OLD.status) AND NEW.attempt = OLD.attempt THEN
        rule := 'tasks_state_goes_back_only_with_a_new_attempt';
    ELSE
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation', TABLE = 'tasks', CONSTRAINT = rule,
        MESSAGE = format('update of task %s violates rule "%s"', OLD.request_uuid, rule),
        DETAIL = format('status %s to %s, progress %s to %s, revision %s to %s, attempt %s to %s',
            OLD.status, NEW.status, OLD.progress, NEW.progress,
            OLD.revision, NEW.revision, OLD.attempt, NEW.attempt);
END
$$;
"""
ORIGIN = ("test_mode", "retry_of", "options", "metadata")  # what else of a task never changes


def tasks_guard(*origin: str) -> str:
    new, old = ("".join(f", {version}.{column}" for column in origin) for version in ("NEW", "OLD"))
    return TASKS_GUARD.format(new=new, old=old)


OBJECT_DELETIONS = """
CREATE TABLE object_deletions (
    bucket     text NOT NULL,
    object_key text NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now(),
    again_at   timestamptz,
    failures   int NOT NULL DEFAULT 0,
    last_error text,
    PRIMARY KEY (bucket, object_key),
    CONSTRAINT object_deletions_failures_valid CHECK (failures >= 0)
);
CREATE INDEX object_deletions_due ON object_deletions (due_at);
COMMENT ON TABLE object_deletions IS 'Objects to delete from storage, unless media_objects describes them when due.';
COMMENT ON COLUMN object_deletions.again_at IS 'A second time, for what a presigned URL may bring back until then.';

CREATE FUNCTION delete_object_with_its_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO object_deletions (bucket, object_key) VALUES (OLD.bucket, OLD.object_key)
    ON CONFLICT (bucket, object_key) DO UPDATE SET due_at = least(object_deletions.due_at, now());
    RETURN NULL;
END
$$;
CREATE TRIGGER media_objects_deleted AFTER DELETE ON media_objects
    FOR EACH ROW EXECUTE FUNCTION delete_object_with_its_row();
"""

UPLOADS = """
CREATE TABLE uploads (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      bigint REFERENCES users ON DELETE CASCADE,
    api_key_id   bigint REFERENCES api_keys ON DELETE CASCADE,
    bucket       text NOT NULL,
    object_key   text NOT NULL,
    content_type text NOT NULL,
    size         bigint NOT NULL,
    sha256       bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    CONSTRAINT uploads_address_key UNIQUE (bucket, object_key),
    CONSTRAINT uploads_size_positive CHECK (size > 0),
    CONSTRAINT uploads_sha256_length CHECK (octet_length(sha256) = 32),
    CONSTRAINT uploads_expire_after_creation CHECK (expires_at > created_at)
);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_by_user ON uploads (user_id);
CREATE INDEX uploads_by_api_key ON uploads (api_key_id);
COMMENT ON TABLE uploads IS 'Places where a client may put one photo; a task takes it from there, once. '
    'Their objects are noted in object_deletions from the beginning.';
COMMENT ON COLUMN uploads.expires_at IS 'Until when a PUT to its presigned URL may begin; it may take a while.';
"""

IDEMPOTENCY_KEYS = """
CREATE TABLE idempotency_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint REFERENCES users ON DELETE CASCADE,
    api_key_id   bigint REFERENCES api_keys ON DELETE CASCADE,
    operation    text NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    made         uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_scope UNIQUE NULLS NOT DISTINCT (user_id, api_key_id, operation, key),
    CONSTRAINT idempotency_keys_key_length CHECK (octet_length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_by_api_key ON idempotency_keys (api_key_id);
COMMENT ON TABLE idempotency_keys IS 'Creates that a client may send again. What the answer held is read anew: '
    'no secret and no URL is kept.';
COMMENT ON COLUMN idempotency_keys.made IS 'What the create made; null while it is under way.';
COMMENT ON COLUMN idempotency_keys.locked_until IS 'When a create that never ended may be begun anew.';
"""

RATE_LIMITS = """
CREATE UNLOGGED TABLE rate_limits (
    policy  text NOT NULL,
    subject text NOT NULL,
    used    int NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (policy, subject)
);
CREATE INDEX rate_limits_by_end ON rate_limits (ends_at);
COMMENT ON TABLE rate_limits IS 'Requests counted per policy and subject until the window ends. '
    'Unlogged: a crash of the server forgives them.';
"""

LEGACY_IMPORTS = """
CREATE TABLE legacy_imports (
    kind      text NOT NULL,
    key       text NOT NULL,
    legacy_id bigint NOT NULL,
    new_id    bigint NOT NULL,
    PRIMARY KEY (kind, key),
    CONSTRAINT legacy_imports_kind_known CHECK (kind IN ('user', 'task')),
    CONSTRAINT legacy_imports_key_present CHECK (key <> '')
);
COMMENT ON TABLE legacy_imports IS 'What was taken over from the old system once. A later run finds its way by it, '
    'and what was deleted here meanwhile does not come back.';
COMMENT ON COLUMN legacy_imports.key IS 'Of a task its request_uuid, of a user the SHA-256 of the e-mail in hex.';
"""

SIGN_INS = """
CREATE INDEX refresh_families_by_revocation ON refresh_families (revoked_at) WHERE revoked_at IS NOT NULL;
"""

NEW_TABLES = "legacy_imports, rate_limits, idempotency_keys, uploads, object_deletions, erased_tasks"


def upgrade() -> None:
    for statements in (
        TEST_MODE, TASKS, tasks_guard(*ORIGIN), OBJECT_DELETIONS, UPLOADS, IDEMPOTENCY_KEYS, RATE_LIMITS,
        LEGACY_IMPORTS, SIGN_INS,
    ):  # fmt: skip
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TRIGGER media_objects_deleted ON media_objects")
    op.execute(f"DROP TABLE {NEW_TABLES}")
    op.execute("DROP FUNCTION delete_object_with_its_row()")
    op.execute(tasks_guard())
    op.execute("""
        ALTER TABLE tasks DROP COLUMN options, DROP COLUMN metadata, DROP COLUMN retry_of, DROP COLUMN lost,
            DROP COLUMN test_mode, DROP COLUMN sandbox_outcome, DROP COLUMN sandbox_due_at;
        DROP INDEX tasks_in_flight, tasks_finished, refresh_families_by_revocation;
        ALTER TABLE api_keys DROP COLUMN test_mode, DROP COLUMN scopes;
        ALTER TABLE users DROP COLUMN test_mode, DROP COLUMN password_version
    """)
