# shellcheck shell=sh disable=SC2034,SC2154 # the scripts set and read these variables
# What gcp/deploy.sh and azure/deploy.sh have in common. Each sets `uploaded` first: which rendered files are code.
trap 'exit 130' INT TERM # else what EXIT cleans up would stay

usage() {
    sed -n 's/^# *usage: //p' "$0"
    exit 2
}

stop() {
    echo "$1" >&2
    echo "next: $2" >&2
    exit 1
}

rendered=${RENDERED:-$(dirname "$0")} # the folder with secrets.txt and the other rendered files
[ -f template.yaml ] && [ -d functions ] || stop "This is not Facet's folder." "cd to the folder with template.yaml"

secret_of() { # SECRET_KEY is kept as facet-secret-key
    echo "facet-$1" | tr 'A-Z_' 'a-z-'
}

ask_for() { # a secret by its name; what is typed is in $value, and on no screen
    grep -qx "$1" "$rendered/secrets.txt" || stop "There is no secret $1." "one of: $(tr '\n' ' ' <"$rendered/secrets.txt")"
    printf 'Value of %s: ' "$1"
    trap 'stty echo 2>/dev/null || true' EXIT
    stty -echo 2>/dev/null || true
    IFS= read -r value
    stty echo 2>/dev/null || true
    echo
}

assemble() {
    mkdir -p "$1"
    for file in $uploaded; do cp "$rendered/$file" "$1"; done
    cp "$(dirname "$0")/requirements.lock" "$1/requirements.txt"
    for package in functions layers/facet/python/facet shared/avatars infra/migrations/python/migrations; do
        tar -cf - --exclude=__pycache__ -C "$(dirname $package)" "$(basename $package)" | tar -xf - -C "$1"
    done
}
