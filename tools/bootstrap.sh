#!/bin/sh
# Makes .venv and installs the locked packages: tools/bootstrap.sh [runtime|dev].
# "dev" adds what tests and linters need. Does nothing when the right packages are there.
# PYTHON=… chooses the interpreter for a new .venv.
set -eu

cd "$(dirname "$0")/.."

what=${1:-runtime}
python=.venv/bin/python

say() { printf '%s\n' "$*" >&2; }

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

can_make_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    unusable=
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        command -v "$name" >/dev/null 2>&1 || continue
        if ! supported "$name"; then
            unusable="$unusable $name (not a working Python 3.11, 3.12 or 3.13);"
        elif ! can_make_venvs "$name"; then
            unusable="$unusable $name (has no venv module: on Debian install python3-venv);"
        else
            printf '%s\n' "$name"
            return
        fi
    done
    say "Outbound needs Python 3.11, 3.12 or 3.13 with its venv module, and found none."
    [ -z "$unusable" ] || say "Looked at:$unusable"
    say "Install one of them, or name it: PYTHON=/path/to/python3.12 make setup"
    return 1
}

# A copy of each installed lock in .venv tells the next run that there is nothing to do.
installed() {
    supported "$python" || return 1
    for file in "$@"; do
        cmp -s "$file" ".venv/$file" || return 1
    done
}

make_venv() {
    if [ -x "$python" ] && supported "$python"; then
        return
    fi
    found=$(find_python)
    say "Making .venv with $("$found" --version) ..."
    "$found" -m venv --clear .venv
}

install() {
    if [ ! -x .venv/bin/uv ]; then
        "$python" -m pip --disable-pip-version-check --quiet install --require-hashes \
            -r tools/requirements-uv.txt || say "uv cannot be installed; going on with pip."
    fi
    if [ -x .venv/bin/uv ]; then
        if sh tools/uv.sh pip install --quiet --python "$python" --require-hashes -r "$1"; then
            return
        fi
        say "uv did not succeed; trying again with pip, which takes longer."
    fi
    "$python" -m pip --disable-pip-version-check --quiet install --require-hashes -r "$1"
}

case $what in
    # The lock for development contains everything of the one for running.
    runtime) lock=requirements.txt locks=$lock ;;
    dev) lock=requirements-dev.txt locks="requirements.txt $lock" ;;
    *) say "usage: tools/bootstrap.sh [runtime|dev]"; exit 2 ;;
esac

# shellcheck disable=SC2086 # two words on purpose
if installed $locks; then
    exit 0
fi
make_venv
rm -f .venv/requirements.txt .venv/requirements-dev.txt
say "Installing $lock into .venv ..."
install "$lock"
# shellcheck disable=SC2086 # two words on purpose
cp $locks .venv/
