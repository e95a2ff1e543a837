#!/bin/sh
# Runs every check, prints one line for each, and at the end fails if one of them failed.
set -u

cd "$(dirname "$0")/.." || exit

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# The embedded profile writes its secrets and its database here.
export OUTBOUND_VAR_DIR="$scratch/var"
failed=

step() {
    name=$1
    shift
    begun=$(date +%s)
    if "$@" >"$scratch/output" 2>&1; then
        printf 'ok      %-20s %3d s\n' "$name" $(($(date +%s) - begun))
    else
        printf 'FAILED  %-20s\n' "$name"
        cat "$scratch/output"
        failed="$failed, $name"
    fi
}

# Settings as in production, with values that lead nowhere: nothing is connected to.
in_production() {
    env DATABASE_URL=postgres://outbound:none@database.invalid/outbound \
        REDIS_URL=redis://redis.invalid/0 \
        SECRET_KEY=only-for-this-check-7f3k9w2m5q8x1z4v6b0n-uyteroiplkjhgfdsa \
        OUTBOUND_ENCRYPTION_KEYS=b25seS1mb3ItY2hlY2tzLW9ubHktZm9yLWNoZWNrcyE= \
        ALLOWED_HOSTS=outbound.example \
        CSRF_TRUSTED_ORIGINS=https://outbound.example \
        "$@"
}

bin=.venv/bin

step "ruff check" $bin/ruff check --quiet .
step "ruff format" $bin/ruff format --quiet --check .
# Its cache loses the managers of django-stubs now and then, and then finds faults there are none.
step mypy $bin/mypy --cache-dir=/dev/null
step "import contracts" $bin/lint-imports --no-logo
step migrations $bin/python manage.py makemigrations --check --dry-run
step "deployment settings" in_production $bin/python manage.py check --deploy --fail-level WARNING
step hadolint $bin/hadolint Dockerfile

if [ -n "$failed" ]; then
    printf '\nFailed: %s\n' "${failed#, }"
    exit 1
fi
