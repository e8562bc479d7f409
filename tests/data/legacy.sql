-- The database of the system Facet replaces, as its own migrations made it, with people and tasks that were made up.
-- The passwords: user 1 "correct horse battery staple", user 7 72 times "x" and "tail", user 12 "Grüße an Grace".

CREATE TYPE tokentype AS ENUM ('ACCESS', 'REFRESH');
CREATE TYPE taskstatus AS ENUM ('INITIAL', 'PENDING', 'IN_PROGRESS', 'SUCCESS', 'INVALID_INPUT', 'FAILED');

CREATE TABLE "user" (
    name            text,
    email           text NOT NULL UNIQUE,
    hashed_password text NOT NULL UNIQUE,
    id              bigserial PRIMARY KEY,
    dt_created      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    dt_updated      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE token (
    token      text NOT NULL,
    type       tokentype NOT NULL,
    user_id    bigint NOT NULL REFERENCES "user",
    id         bigserial PRIMARY KEY,
    dt_created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    dt_updated timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE minio_metadata (
    bucket     text NOT NULL,
    file_name  text NOT NULL UNIQUE,
    id         bigserial PRIMARY KEY,
    dt_created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    dt_updated timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE mesh_metadata (
    skin_color_hex text NOT NULL,
    id             bigserial PRIMARY KEY,
    dt_created     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    dt_updated     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE task (
    request_uuid            uuid NOT NULL UNIQUE,
    status                  taskstatus NOT NULL,
    user_id                 bigint REFERENCES "user",
    input_file_metadata_id  bigint NOT NULL UNIQUE REFERENCES minio_metadata,
    result_file_metadata_id bigint UNIQUE REFERENCES minio_metadata,
    mesh_metadata_id        bigint UNIQUE REFERENCES mesh_metadata,
    id                      bigserial PRIMARY KEY,
    dt_created              timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    dt_updated              timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

INSERT INTO "user" (id, name, email, hashed_password, dt_created) VALUES
    (1, 'Ada Lovelace', 'Ada@Example.org', '$2b$04$xOQ41x/F/TFx4ChyoLWNy.YWu/VzxB3VYvyZq9t93pjV4eg/xuRbu', '2024-12-10 18:54:08.959232+03'),
    (2, 'Ada again', 'ADA@example.ORG', '$2b$04$nh4oGaREi7HMvLsyp6gDG.pwl4OIr6kO0fFEdqsBQ35PjSUkLEet.', '2024-12-11 09:00:00+00'),
    (3, '', 'no.name@example.org', '$2b$04$OVaQH7zLhbR6x9C96VMwpOEJi6uXkXDp858HctrHDsRpPJ3tU/n7q', '2025-01-01 00:00:00+00'),
    (4, NULL, ' null.name@example.org ', 'plain text', '2025-01-01 00:00:01+00'),
    (5, repeat('Wolfeschlegelsteinhausenbergerdorff ', 5), 'long.name@example.org', '', '2025-01-01 00:00:02+00'),
    (6, 'Costly', 'costly@example.org', '$2b$31$xOQ41x/F/TFx4ChyoLWNy.YWu/VzxB3VYvyZq9t93pjV4eg/xuRbu', '2025-01-01 00:00:03+00'),
    (7, 'Long Password', 'long.password@example.org', '$2b$04$8fy1cygwwerVIHFEEiAvL.Zb5OZYs3vGfh58J40ECfPX1NRfaW0V2', '2025-01-01 00:00:04+00'),
    (8, 'No address', 'not an address', '$2b$04$rZUtG/ERLrtj1FiaTpK6V.37HRpWZgT6jSQJNejEwmEW4TTcn5lAi', '2025-01-01 00:00:05+00'),
    (12, 'Grace', 'grace@Bücher.example', '$2b$04$w.ThskELh3eXvqaIG8k0g../p5FAtlZ2.YR96Got4j0A9sPgn3q0G', '2025-02-01 00:00:00+00');

INSERT INTO token (token, type, user_id) VALUES ('eyJhbGciOiJIUzI1NiJ9.e30.old', 'REFRESH', 1);

-- Photos are 1xx, models 2xx, of task xx.
INSERT INTO minio_metadata (id, bucket, file_name) VALUES
    (101, 'input-images', 'ada_2024-12-10_18:54:08:959.jpg'),
    (102, 'input-images', 'фото_лица+1%20?#_2024-12-11_10-00-00-001.png'),
    (103, 'input-images', 'failed.jpg'),
    (104, 'input-images', 'no_face.jpg'),
    (105, 'input-images', 'pending.jpg'),
    (106, 'input-images', 'late_progress.jpg'),
    (107, 'input-images', 'model_lost.jpg'),
    (108, 'input-images', 'model_damaged.jpg'),
    (109, 'input-images', 'photo_lost.jpg'),
    (110, 'input-images', 'photo_lost_and_failed.jpg'),
    (111, 'input-images', 'moving.gif'),
    (112, 'input-images', 'of_the_other_ada.jpg'),
    (113, 'input-images', 'kiosk.jpg'),
    (114, 'input-images', 'with_gps.jpg'),
    (115, 'input-images', 'no_result_row.jpg'),
    (116, 'a-bucket-that-went', 'gone.jpg'),
    (117, 'input-images', 'of_nobody_reachable.jpg'),
    (118, 'input-images', 'initial.jpg'),
    (119, 'input-images', 'of_grace.jpg'),
    (201, '3d-files', 'avatar_male_2024-12-10_00:04:03_result.glb'),
    (202, '3d-files', 'folder/аватар 2.glb'),
    (206, '3d-files', 'late_progress.glb'),
    (207, '3d-files', 'model_lost.glb'),
    (208, '3d-files', 'model_damaged.glb'),
    (209, '3d-files', 'photo_lost.glb'),
    (211, '3d-files', 'moving.glb'),
    (212, '3d-files', 'of_the_other_ada.glb'),
    (213, '3d-files', 'kiosk.glb'),
    (214, '3d-files', 'with_gps.glb'),
    (216, 'a-bucket-that-went', 'gone.glb'),
    (219, '3d-files', '00000000-0000-4000-8000-000000000019.glb');

INSERT INTO mesh_metadata (id, skin_color_hex) VALUES (1, '#BA997A'), (2, 'a1b2c3'), (14, 'pale'), (19, '');

INSERT INTO task
    (id, request_uuid, status, user_id, input_file_metadata_id, result_file_metadata_id, mesh_metadata_id, dt_created, dt_updated)
VALUES
    (1, '00000000-0000-4000-8000-000000000001', 'SUCCESS', 1, 101, 201, 1, '2024-12-10 18:54:08.959232+03', '2024-12-10 18:59:00+03'),
    (2, '00000000-0000-4000-8000-000000000002', 'SUCCESS', 1, 102, 202, 2, '2024-12-11 10:00:00+00', '2024-12-11 10:01:00+00'),
    (3, '00000000-0000-4000-8000-000000000003', 'FAILED', 1, 103, NULL, NULL, '2024-12-12 10:00:00+00', '2024-12-12 10:01:00+00'),
    (4, '00000000-0000-4000-8000-000000000004', 'INVALID_INPUT', 1, 104, NULL, NULL, '2024-12-13 10:00:00+00', '2024-12-13 10:01:00+00'),
    (5, '00000000-0000-4000-8000-000000000005', 'PENDING', 1, 105, NULL, NULL, '2024-12-14 10:00:00+00', '2024-12-14 10:01:00+00'),
    (6, '00000000-0000-4000-8000-000000000006', 'IN_PROGRESS', 1, 106, 206, NULL, '2024-12-15 10:00:00+00', '2024-12-15 10:01:00+00'),
    (7, '00000000-0000-4000-8000-000000000007', 'SUCCESS', 1, 107, 207, NULL, '2024-12-16 10:00:00+00', '2024-12-16 10:01:00+00'),
    (8, '00000000-0000-4000-8000-000000000008', 'SUCCESS', 1, 108, 208, NULL, '2024-12-17 10:00:00+00', '2024-12-17 10:01:00+00'),
    (9, '00000000-0000-4000-8000-000000000009', 'SUCCESS', 1, 109, 209, NULL, '2024-12-18 10:00:00+00', '2024-12-18 10:01:00+00'),
    (10, '00000000-0000-4000-8000-000000000010', 'FAILED', 1, 110, NULL, NULL, '2024-12-19 10:00:00+00', '2024-12-19 10:01:00+00'),
    (11, '00000000-0000-4000-8000-000000000011', 'SUCCESS', 1, 111, 211, NULL, '2024-12-20 10:00:00+00', '2024-12-20 10:01:00+00'),
    (12, '00000000-0000-4000-8000-000000000012', 'SUCCESS', 2, 112, 212, NULL, '2024-12-21 10:00:00+00', '2024-12-21 10:01:00+00'),
    (13, '00000000-0000-4000-8000-000000000013', 'SUCCESS', NULL, 113, 213, NULL, '2024-12-22 10:00:00+00', '2024-12-22 10:01:00+00'),
    (14, '00000000-0000-4000-8000-000000000014', 'SUCCESS', 3, 114, 214, 14, '2024-12-23 10:00:00+00', '2024-12-23 10:01:00+00'),
    (15, '00000000-0000-4000-8000-000000000015', 'SUCCESS', 3, 115, NULL, NULL, '2024-12-24 10:00:00+00', '2024-12-24 09:00:00+00'),
    (16, '00000000-0000-4000-8000-000000000016', 'SUCCESS', 3, 116, 216, NULL, '2024-12-25 10:00:00+00', '2024-12-25 10:01:00+00'),
    (17, '00000000-0000-4000-8000-000000000017', 'FAILED', 8, 117, NULL, NULL, '2024-12-26 10:00:00+00', '2024-12-26 10:01:00+00'),
    (18, '00000000-0000-4000-8000-000000000018', 'INITIAL', 12, 118, NULL, NULL, '2024-12-27 10:00:00+00', '2024-12-27 10:01:00+00'),
    (40, '00000000-0000-4000-8000-000000000019', 'SUCCESS', 12, 119, 219, 19, '2025-03-01 10:00:00+00', '2025-03-01 10:01:00+00');
