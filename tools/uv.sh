#!/bin/sh
# Runs .venv's uv with what pip is told on this machine: uv does not read pip's configuration.
set -eu

venv=$(dirname "$0")/../.venv

# The value pip has for an option; the environment comes before configuration files.
pip_option() {
    printf '%s\n' "$pip_options" |
        sed -n -e "s/^:env:\.$1='\(.*\)'\$/\1/p" -e "s/^global\.$1='\(.*\)'\$/\1/p" \
            -e "s/^install\.$1='\(.*\)'\$/\1/p" -e "s/^site\.$1='\(.*\)'\$/\1/p" | head -n 1
}

pip_options=$("$venv/bin/python" -m pip config list 2>/dev/null | sort || true)

index=$(pip_option index-url)
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"

# pip separates several places by spaces or by line ends, which it shows as \n; uv by commas.
links=$(pip_option find-links | sed -e 's/\\n/ /g' -e 's/^ *//' -e 's/ *$//' -e 's/  */,/g')
[ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"

certificates=$(pip_option cert)
[ -z "$certificates" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$certificates}"

[ -z "$(pip_option no-index)" ] || export UV_NO_INDEX="${UV_NO_INDEX:-1}"

# Trust what the machine trusts, not only the list of authorities uv brings along.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"

exec "$venv/bin/uv" "$@"
