"""Users, keys, refresh tokens, stored objects, tasks and the outbox."""

from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

USERS = """
CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL,
    email         text NOT NULL,
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz,
    CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT users_email_shape CHECK (char_length(email) <= 320 AND email ~ '^[^[:space:]@]+@[^[:space:]@]+$'),
    CONSTRAINT users_password_hash_present CHECK (password_hash <> '')
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE INDEX users_legacy_hash ON users (substr(password_hash, 5, 2)) WHERE password_hash LIKE '$2_$%';
COMMENT ON TABLE users IS 'People who sign in. Erasing one takes keys and refresh tokens along, but never tasks: '
    'their files must be deleted first, so a user who still has tasks cannot be deleted.';
COMMENT ON COLUMN users.email IS 'Unique without case: look it up by lower(email).';
COMMENT ON INDEX users_legacy_hash IS 'The cost of the bcrypt hashes that remain: every sign-in asks for the highest.';
COMMENT ON COLUMN users.password_hash IS 'PHC string (argon2id), or bcrypt from the old system until the next sign-in.';

CREATE TABLE api_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint REFERENCES users ON DELETE CASCADE,
    name         text NOT NULL,
    prefix       text NOT NULL,
    secret_hash  bytea NOT NULL CONSTRAINT api_keys_secret_hash_key UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT api_keys_prefix_present CHECK (prefix <> ''),
    CONSTRAINT api_keys_secret_hash_is_sha256 CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_keys_expire_after_creation CHECK (expires_at > created_at)
);
CREATE INDEX api_keys_by_user ON api_keys (user_id, id);
COMMENT ON TABLE api_keys IS 'Keys of outside systems. Without a user the key itself owns what it creates.';
COMMENT ON COLUMN api_keys.prefix IS 'The part people may see to tell keys apart; it opens nothing.';
COMMENT ON COLUMN api_keys.secret_hash IS 'SHA-256 of the whole key; the key is shown once and kept nowhere.';
"""

REFRESH_TOKENS = """
CREATE TABLE refresh_families (
    id         uuid PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT refresh_families_expire_after_creation CHECK (expires_at > created_at),
    CONSTRAINT refresh_families_one_user UNIQUE (id, user_id)
);
CREATE INDEX refresh_families_by_user ON refresh_families (user_id);
CREATE INDEX refresh_families_by_expiry ON refresh_families (expires_at);
COMMENT ON TABLE refresh_families IS 'One sign-in and the refresh tokens that follow from it; revoked as a whole.';

CREATE TABLE refresh_tokens (
    family     uuid NOT NULL,
    generation int NOT NULL,
    user_id    bigint NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT refresh_tokens_token_hash_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (family, generation),
    CONSTRAINT refresh_tokens_user_is_the_familys FOREIGN KEY (family, user_id)
        REFERENCES refresh_families (id, user_id) ON DELETE CASCADE,
    CONSTRAINT refresh_tokens_generation_counts_up CHECK (generation >= 0),
    CONSTRAINT refresh_tokens_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT refresh_tokens_expire_after_creation CHECK (expires_at > created_at)
);
COMMENT ON TABLE refresh_tokens IS 'Hashes only: a successor is derived from its family again, '
    'so nothing here can be replayed.';
COMMENT ON COLUMN refresh_tokens.used_at IS 'First exchange. A used token is accepted again only while its successor '
    'is unused, and not for long; otherwise the family is revoked.';
"""

MEDIA_OBJECTS = """
CREATE TABLE media_objects (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    bucket       text NOT NULL,
    object_key   text NOT NULL,
    content_type text NOT NULL,
    size         bigint NOT NULL,
    sha256       bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT media_objects_kind_known CHECK (kind IN ('photo', 'model')),
    CONSTRAINT media_objects_address_present CHECK (bucket <> '' AND octet_length(object_key) BETWEEN 1 AND 1024),
    CONSTRAINT media_objects_size_positive CHECK (size > 0),
    CONSTRAINT media_objects_sha256_length CHECK (octet_length(sha256) = 32),
    CONSTRAINT media_objects_address_key UNIQUE (bucket, object_key)
);
COMMENT ON TABLE media_objects IS 'What is known of a stored object. An address is claimed once, '
    'so no two tasks share a model.';
"""

TASKS = """
CREATE TABLE tasks (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_uuid    uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT tasks_request_uuid_key UNIQUE,
    user_id         bigint REFERENCES users,
    api_key_id      bigint REFERENCES api_keys,
    client_type     text NOT NULL,
    status          text NOT NULL DEFAULT 'INITIAL',
    progress        smallint NOT NULL DEFAULT 0,
    stage           text,
    attempt         int NOT NULL DEFAULT 1,
    revision        int NOT NULL DEFAULT 1,
    photo_id        bigint NOT NULL REFERENCES media_objects,
    model_id        bigint REFERENCES media_objects CONSTRAINT tasks_model_id_key UNIQUE,
    output_bucket   text NOT NULL,
    skin_color_hex  text,
    vertices        int,
    triangles       int,
    failure_code    text,
    failure_message text,
    traceparent     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    published_at    timestamptz,
    started_at      timestamptz,
    last_message_at timestamptz,
    finished_at     timestamptz,
    CONSTRAINT tasks_client_type_known CHECK (client_type IN ('WEB_SERVICE', 'EXTERNAL_INTEGRATION')),
    CONSTRAINT tasks_status_known CHECK
        (status IN ('INITIAL', 'PENDING', 'IN_PROGRESS', 'SUCCESS', 'INVALID_INPUT', 'FAILED', 'CANCELLED')),
    CONSTRAINT tasks_web_service_has_a_user CHECK
        (client_type <> 'WEB_SERVICE' OR (user_id IS NOT NULL AND api_key_id IS NULL)),
    CONSTRAINT tasks_progress_range CHECK (progress BETWEEN 0 AND 100),
    CONSTRAINT tasks_counters_positive CHECK (attempt >= 1 AND revision >= 1),
    CONSTRAINT tasks_output_bucket_present CHECK (output_bucket <> ''),
    CONSTRAINT tasks_pending_is_published CHECK (status <> 'PENDING' OR published_at IS NOT NULL),
    CONSTRAINT tasks_in_progress_is_started CHECK
        (status <> 'IN_PROGRESS' OR (started_at IS NOT NULL AND last_message_at IS NOT NULL)),
    CONSTRAINT tasks_model_means_success CHECK ((model_id IS NOT NULL) = (status = 'SUCCESS')),
    CONSTRAINT tasks_success_is_complete CHECK (status <> 'SUCCESS' OR progress = 100),
    CONSTRAINT tasks_mesh_belongs_to_model CHECK
        (model_id IS NOT NULL OR (skin_color_hex IS NULL AND vertices IS NULL AND triangles IS NULL)),
    CONSTRAINT tasks_skin_color_hex_shape CHECK (skin_color_hex ~ '^#[0-9a-f]{6}$'),
    CONSTRAINT tasks_mesh_counts_positive CHECK (vertices > 0 AND triangles > 0),
    CONSTRAINT tasks_failure_has_a_code CHECK ((failure_code IS NOT NULL) = (status IN ('INVALID_INPUT', 'FAILED'))),
    CONSTRAINT tasks_failure_code_present CHECK (failure_code <> ''),
    CONSTRAINT tasks_failure_message_has_a_code CHECK (failure_message IS NULL OR failure_code IS NOT NULL),
    CONSTRAINT tasks_terminal_is_finished CHECK
        ((finished_at IS NOT NULL) = (status IN ('SUCCESS', 'INVALID_INPUT', 'FAILED', 'CANCELLED')))
);
CREATE INDEX tasks_by_user ON tasks (user_id, id);
CREATE INDEX tasks_by_api_key ON tasks (api_key_id, id);
CREATE INDEX tasks_by_photo ON tasks (photo_id);
CREATE INDEX tasks_open ON tasks (status, id) WHERE status IN ('INITIAL', 'PENDING', 'IN_PROGRESS');
COMMENT ON TABLE tasks IS 'One requested avatar. INITIAL (committed), PENDING (the broker has it), IN_PROGRESS, '
    'then one terminal state for ever: SUCCESS, INVALID_INPUT, FAILED or CANCELLED.';
COMMENT ON COLUMN tasks.id IS 'Orders the history; clients address a task by request_uuid.';
COMMENT ON COLUMN tasks.user_id IS 'The owner; with api_key_id set, the user of that key. '
    'Both are null only where keys are not asked for.';
COMMENT ON COLUMN tasks.attempt IS 'How often it was given to agents; a state goes back only with a new attempt.';
COMMENT ON COLUMN tasks.revision IS 'Raised by every change a client can see; the ETag.';
COMMENT ON COLUMN tasks.output_bucket IS 'The only bucket a result of this task may be in.';
COMMENT ON COLUMN tasks.published_at IS 'When the broker last confirmed the message; its URLs age from here.';
COMMENT ON COLUMN tasks.last_message_at IS 'When an agent was last heard of; silence is what the reaper looks for.';

CREATE FUNCTION tasks_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    states CONSTANT text[] := ARRAY['INITIAL', 'PENDING', 'IN_PROGRESS'];
    rule text;
BEGIN
    IF (NEW.id, NEW.request_uuid, NEW.client_type, NEW.user_id, NEW.api_key_id,
        NEW.photo_id, NEW.output_bucket, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.request_uuid, OLD.client_type, OLD.user_id, OLD.api_key_id,
        OLD.photo_id, OLD.output_bucket, OLD.created_at)
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
CREATE TRIGGER tasks_guard BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION tasks_guard();
COMMENT ON FUNCTION tasks_guard() IS 'What a row cannot say of itself: how it may change. '
    'Raises check_violation (23514) with the broken rule as constraint name.';
"""

OUTBOX = """
CREATE TABLE outbox (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id      bigint NOT NULL REFERENCES tasks ON DELETE CASCADE,
    attempt      int NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    failures     int NOT NULL DEFAULT 0,
    last_error   text,
    CONSTRAINT outbox_announces_an_attempt_once UNIQUE (task_id, attempt),
    CONSTRAINT outbox_counters_valid CHECK (attempt >= 1 AND failures >= 0)
);
CREATE INDEX outbox_unsent ON outbox (failures, created_at, id) WHERE published_at IS NULL;
COMMENT ON TABLE outbox IS 'Attempts to announce, committed with the task. '
    'The message is built when it is sent, because its URLs must be fresh.';
COMMENT ON COLUMN outbox.id IS 'The message_id, the same for every repeat of this announcement.';
"""


def upgrade() -> None:
    for statements in (USERS, REFRESH_TOKENS, MEDIA_OBJECTS, TASKS, OUTBOX):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE outbox, tasks, media_objects, refresh_tokens, refresh_families, api_keys, users")
    op.execute("DROP FUNCTION tasks_guard()")
