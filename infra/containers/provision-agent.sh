#!/bin/sh
# Gives the ML agent a key of its own that can read and write the models' bucket and nothing else.
set -eu
mc alias set facet http://minio:9000 "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
cat >/tmp/agent-policy.json <<JSON
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:ListBucket"], "Resource": ["arn:aws:s3:::$MODELS_BUCKET"]},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], "Resource": ["arn:aws:s3:::$MODELS_BUCKET/*"]}]}
JSON
mc admin policy create facet facet-agent /tmp/agent-policy.json
mc admin user add facet "$AGENT_ACCESS_KEY" "$AGENT_SECRET_KEY"
mc admin policy attach facet facet-agent --user "$AGENT_ACCESS_KEY"
