#!/bin/sh
# Deploys Facet to Google Cloud. Run it in Facet's folder; README.md beside it explains each command.
set -eu

# usage: deploy.sh prepare             service accounts, a repository for images, empty secrets
# usage: deploy.sh secret NAME         ask for a secret's value and store it
# usage: deploy.sh image               build and push the image
# usage: deploy.sh migrate             bring schema, buckets and queues up to date
# usage: deploy.sh api                 all HTTP functions behind one address
# usage: deploy.sh functions NAME...   single HTTP functions, each with an address of its own
# usage: deploy.sh schedules           the scheduled functions and what calls them
# usage: deploy.sh results             the consumer of the results queue
# usage: deploy.sh invoke NAME [JSON]  an operator's function, as a job
# usage: deploy.sh assemble FOLDER     only put together what is uploaded

uploaded=main.py
# shellcheck source=infra/cloud.sh
. "$(dirname "$0")/../cloud.sh"

needs_cloud() {
    [ -n "${PROJECT:-}" ] && [ -n "${REGION:-}" ] || stop "PROJECT and REGION are not set." \
        "export PROJECT=my-project REGION=europe-west1"
    runner=facet-run@$PROJECT.iam.gserviceaccount.com
    caller=facet-scheduler@$PROJECT.iam.gserviceaccount.com
    image=${IMAGE:-$REGION-docker.pkg.dev/$PROJECT/facet/facet:latest}
}

# A folder for what is uploaded, gone at the end
needs_settings() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    empty=$(sed -n "s/: ''\$//p" "$rendered/settings.yaml" | tr '\n' ' ')
    [ -z "$empty" ] || stop "$rendered/settings.yaml has no value for: $empty" "fill them in"
}

google() { # every command says which project it means
    gcloud --project="$PROJECT" --quiet "$@"
}

# What a service, a job and a worker pool have in common, as words without spaces. What is given is a setting more.
surroundings() {
    secrets=
    while read -r name; do secrets=$secrets,$name=$(secret_of "$name"):latest; done <"$rendered/secrets.txt"
    cat "$rendered/settings.yaml" >"$work/settings.yaml"
    [ $# -eq 0 ] || echo "$1" >>"$work/settings.yaml"
    echo --region="$REGION" --service-account="$runner" --env-vars-file="$work/settings.yaml" \
        --set-secrets="${secrets#,}" ${SQL:+--set-cloudsql-instances="$SQL"} \
        ${NETWORK:+--network="$NETWORK"} ${SUBNET:+--subnet="$SUBNET"} ${NETWORK:+--vpc-egress=private-ranges-only}
}

# described NAME: the line that functions.txt has of it, as variables
described() {
    line=$(grep "^$1 " "$rendered/functions.txt") || stop "There is no function $1." "one of functions.txt"
    read -r entry memory seconds concurrency instances who _ <<EOL
$line
EOL
}

deploy_function() {
    described "$1"
    service=facet-$(echo "$entry" | tr _ -)
    access=--no-allow-unauthenticated
    [ "$who" != anybody ] || access=--allow-unauthenticated
    [ "$instances" = - ] && instances=${MAX_INSTANCES:-20}
    # shellcheck disable=SC2046 # the words of surroundings are its arguments
    google run deploy "$service" --source="$work/source" --function="$entry" --base-image=python313 \
        $(surroundings "THREADS: '$concurrency'") --cpu=1 --memory="$memory" --timeout="$seconds" \
        --concurrency="$concurrency" --max-instances="$instances" "$access"
}

with_source() {
    needs_cloud
    needs_settings
    assemble "$work/source"
}

prepare() {
    needs_cloud
    google services enable run.googleapis.com cloudbuild.googleapis.com artifactregistry.googleapis.com \
        secretmanager.googleapis.com cloudscheduler.googleapis.com sqladmin.googleapis.com
    google artifacts repositories describe facet --location="$REGION" >/dev/null 2>&1 ||
        google artifacts repositories create facet --location="$REGION" --repository-format=docker
    for account in facet-run facet-scheduler; do
        google iam service-accounts describe "$account@$PROJECT.iam.gserviceaccount.com" >/dev/null 2>&1 ||
            google iam service-accounts create "$account"
    done
    google projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$runner" \
        --role=roles/cloudsql.client --condition=None >/dev/null
    while read -r name; do
        google secrets describe "$(secret_of "$name")" >/dev/null 2>&1 ||
            google secrets create "$(secret_of "$name")" --replication-policy=automatic
        google secrets add-iam-policy-binding "$(secret_of "$name")" --member="serviceAccount:$runner" \
            --role=roles/secretmanager.secretAccessor >/dev/null
    done <"$rendered/secrets.txt"
}

secret() {
    needs_cloud
    ask_for "$1"
    printf %s "$value" | google secrets versions add "$(secret_of "$1")" --data-file=-
}

image() {
    needs_cloud
    docker build --platform=linux/amd64 --target=runtime --file=infra/containers/Dockerfile --tag="$image" .
    docker push "$image"
}

# run_job NAME [JSON]: commas may be in the JSON, so another character separates the arguments
run_job() {
    needs_cloud
    needs_settings
    # shellcheck disable=SC2046 # the words of surroundings are its arguments
    google run jobs deploy facet-operate --image="$image" --command=python \
        --args="^|^-m|facet.invoke|$1${2:+|$2}" $(surroundings "FACET_TIMEOUT: '300'") --memory=1Gi --task-timeout=300 --max-retries=0
    google run jobs execute facet-operate --region="$REGION" --wait
}

schedules() {
    with_source
    grep ' schedule ' "$rendered/functions.txt" | while read -r entry _ seconds _ _ _ crontab; do
        deploy_function "$entry" </dev/null
        service=facet-$(echo "$entry" | tr _ -)
        google run services add-iam-policy-binding "$service" --region="$REGION" \
            --member="serviceAccount:$caller" --role=roles/run.invoker >/dev/null
        url=$(google run services describe "$service" --region="$REGION" --format='value(status.url)')
        google scheduler jobs delete "$service" --location="$REGION" >/dev/null 2>&1 || true
        google scheduler jobs create http "$service" --location="$REGION" --schedule="$crontab" --time-zone=Etc/UTC \
            --uri="$url" --http-method=POST --oidc-service-account-email="$caller" --oidc-token-audience="$url" \
            --headers="ce-specversion=1.0,ce-id=$entry,ce-type=facet.schedule,ce-source=/facet/schedules/$entry" \
            --attempt-deadline="${seconds}s" --max-retry-attempts=0
    done
}

results() {
    needs_cloud
    needs_settings
    described consume_results
    # shellcheck disable=SC2046 # the words of surroundings are its arguments
    google run worker-pools deploy facet-results --image="$image" --command=python --args=-m,facet.consume \
        $(surroundings "FACET_TIMEOUT: '$seconds'") --cpu=1 --memory="$memory" --scaling="${CONSUMERS:-1}"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
prepare | image | schedules | results) "$command" ;;
migrate) run_job migrate ;;
api)
    with_source
    deploy_function api
    ;;
secret) [ $# -eq 1 ] || usage; secret "$1" ;;
functions)
    [ $# -gt 0 ] || usage
    with_source
    for name in "$@"; do deploy_function "$name"; done
    ;;
invoke) [ $# -gt 0 ] || usage; run_job "$@" ;;
assemble) [ $# -eq 1 ] || usage; assemble "$1" ;;
*) usage ;;
esac
