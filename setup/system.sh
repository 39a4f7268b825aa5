#!/bin/sh
# Install Debian packages that are missing. Arguments: FILE:PACKAGE, where FILE is a shared library or a program.
set -eu
missing=
for pair in "$@"; do
    file=${pair%%:*}
    case $file in
    *.so.*) ldconfig -p | grep -q "$file" || missing="$missing ${pair#*:}" ;;
    *) command -v "$file" >/dev/null || missing="$missing ${pair#*:} fonts-dejavu-core fonts-noto-cjk" ;;
    esac
done
[ -n "$missing" ] || exit 0
install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "These packages are missing; install them and call make again:  sudo $install" >&2
    exit 1
fi
echo "== set-up:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $sudo apt-get -q update && $sudo $install; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "Installing them failed; try by hand:  $install" >&2
    exit 1
fi
