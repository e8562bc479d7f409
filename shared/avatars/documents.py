"""The rows behind the documents of tasks: one query, for one task or a page of them."""

from typing import LiteralString

# A simulated task goes on when somebody looks; no other task ever needs that.
NEEDS_SETTLING: LiteralString = (
    "t.test_mode AND t.finished_at IS NULL AND t.sandbox_due_at IS NOT NULL AS needs_settling"
)

# Of `mine`, the tasks in question. Places in the queue are counted between one waiting task of `mine` and the next,
# so that nothing is counted twice: a page costs what its last one costs. No agent ever takes a task in test mode.
QUERY: LiteralString = """
    , queue AS (
        SELECT w.id, sum((
            SELECT count(*) FROM tasks q
            WHERE q.status IN ('INITIAL', 'PENDING') AND NOT q.test_mode AND q.id > w.previous AND q.id <= w.id
        )) OVER (ORDER BY w.id)::int AS position
        FROM (
            SELECT id, lag(id, 1, 0::bigint) OVER (ORDER BY id) AS previous
            FROM mine WHERE status IN ('INITIAL', 'PENDING') AND NOT test_mode
        ) w
    )
    SELECT t.id, t.request_uuid, t.status, t.progress, t.stage, t.revision, t.attempt, t.test_mode,
           t.needs_settling,
           t.created_at, t.started_at, t.finished_at, t.failure_code, t.failure_message,
           t.skin_color_hex, t.vertices, t.triangles, t.options, t.metadata, t.retry_of, t.photo_id, t.output_bucket,
           CASE WHEN t.test_mode AND t.status IN ('INITIAL', 'PENDING') THEN 1 ELSE queue.position END
               AS queue_position,
           p.bucket AS photo_bucket, p.object_key AS photo_key, p.content_type AS photo_type,
           p.size AS photo_size, p.sha256 AS photo_sha256,
           m.bucket AS model_bucket, m.object_key AS model_key, m.content_type AS model_type,
           m.size AS model_size, m.sha256 AS model_sha256
    FROM mine t
    JOIN media_objects p ON p.id = t.photo_id
    LEFT JOIN media_objects m ON m.id = t.model_id
    LEFT JOIN queue ON queue.id = t.id
    ORDER BY t.id DESC
"""
