#!/bin/sh
# Installs paddock @VERSION@, upgrades an older installation, or removes one:
#
#   curl -fsSL URL/install.sh | sh             as root for all users, else for this user
#   sh install.sh --uninstall                  models stay; with --models they are deleted too
#
# Options: --user and --system choose, --no-service starts nothing and sets up no service,
# --archive FILE takes the archive from a file (so does one beside this script).
# Variables: PADDOCK_URL is where the archive is downloaded, PYTHON the interpreter to use.
#
# Nothing of the archive is run before its SHA-256 was compared with the one in this script.
set -eu

VERSION="@VERSION@"
ARCHIVE="@ARCHIVE@"
SHA256="@SHA256@"
URL="${PADDOCK_URL:-@URL@}"

say() { echo "paddock: $1"; }
fail() {
    echo "paddock: $1" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

usage() {
    echo "usage: install.sh [--user | --system] [--no-service] [--archive FILE]"
    echo "       install.sh --uninstall [--models] [--user | --system]"
    exit "$1"
}

parse_options() {
    scope=user service=yes archive='' uninstall=no models=no
    if [ "$(id -u)" = 0 ]; then scope=system; fi
    while [ $# -gt 0 ]; do
        case $1 in
        --user) scope=user ;;
        --system) scope=system ;;
        --no-service) service=no ;;
        --uninstall) uninstall=yes ;;
        --models) models=yes ;;
        --archive)
            [ $# -gt 1 ] || usage 2 >&2
            archive=$2
            shift
            ;;
        --help | -h) usage 0 ;;
        *) usage 2 >&2 ;;
        esac
        shift
    done
    if [ "$models" = yes ] && [ "$uninstall" = no ]; then usage 2 >&2; fi
}

set_folders() {
    if [ "$scope" = system ]; then
        [ "$(id -u)" = 0 ] || fail "--system needs root: run it with sudo"
        program=/opt/paddock command=/usr/local/bin/paddock
        state=/var/lib/paddock settings=/etc/paddock
        unit=/etc/systemd/system/paddock.service
    else
        [ -n "${HOME:-}" ] || fail "HOME is not set"
        program=${XDG_DATA_HOME:-$HOME/.local/share}/paddock command=$HOME/.local/bin/paddock
        state=$HOME/.ollama settings=${XDG_CONFIG_HOME:-$HOME/.config}/paddock
        unit=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user/paddock.service
    fi
}

service_manager() {
    if [ "$scope" = system ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

has_services() {
    has systemctl || return 1
    if [ "$scope" = system ]; then
        [ -d /run/systemd/system ]
    else
        systemctl --user show-environment >/dev/null 2>&1
    fi
}

check_platform() {
    case "$(uname -s) $(uname -m)" in
    "Linux x86_64") ;;
    *) fail "this release is for Linux on x86-64; elsewhere install from source with make install" ;;
    esac
    for tool in tar sha256sum sed; do
        has "$tool" || fail "$tool is needed, and is not installed"
    done
    has "${PYTHON:-python3}" ||
        fail "Python is needed, and is not installed (Debian and Ubuntu: apt install python3)"
    if [ "$scope" = system ] && [ -e /usr/lib/paddock ]; then
        fail "the Debian package paddock-server is installed here: upgrade or remove it with apt"
    fi
}

download() {
    if has curl; then
        curl -fsSL -o "$2" "$1"
    elif has wget; then
        wget -q -O "$2" "$1"
    else
        "${PYTHON:-python3}" - "$1" "$2" <<'END'
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
END
    fi
}

fetch_archive() {
    if [ -z "$archive" ]; then
        beside=$(dirname "$0")/$ARCHIVE
        if [ -f "$beside" ]; then archive=$beside; fi
    fi
    if [ -n "$archive" ]; then
        [ -f "$archive" ] || fail "$archive is not there"
        cp "$archive" "$temporary/$ARCHIVE"
    else
        [ -n "$URL" ] || fail "set PADDOCK_URL to where $ARCHIVE is, or name the file with --archive"
        say "downloading $ARCHIVE"
        download "$URL/$ARCHIVE" "$temporary/$ARCHIVE" || fail "$URL/$ARCHIVE cannot be downloaded"
    fi
    echo "$SHA256  $temporary/$ARCHIVE" | sha256sum -c - >/dev/null 2>&1 ||
        fail "$ARCHIVE is not what this script was made for (its SHA-256 differs): nothing was installed"
    tar -xzf "$temporary/$ARCHIVE" -C "$temporary"
    source=$temporary/${ARCHIVE%.tar.gz}
}

install_program() {
    umask 022
    mkdir -p "$program" "$(dirname "$command")"
    "$source/make-environment" "$program/environment"
    ln -sf "$program/environment/bin/paddock" "$command"
}

install_settings() {
    mkdir -p "$settings"
    if [ ! -e "$settings/paddock.env" ]; then
        sed "s|^OLLAMA_MODELS=/var/lib/paddock|OLLAMA_MODELS=$state|" "$source/paddock.env" \
            >"$settings/paddock.env"
    fi
    if [ "$scope" = system ]; then
        if ! grep -q '^paddock:' /etc/passwd; then
            useradd --system --user-group --home-dir "$state" --no-create-home \
                --shell /usr/sbin/nologin paddock
        fi
        mkdir -p "$state/models"
        chown paddock:paddock "$state" "$state/models"
        chmod 750 "$state"
    fi
}

install_service() {
    mkdir -p "$(dirname "$unit")"
    if [ "$scope" = system ]; then
        sed "s|/usr/bin/paddock|$command|" "$source/paddock.service" >"$unit"
    else
        cat >"$unit" <<END
[Unit]
Description=paddock, a server for language models

[Service]
EnvironmentFile=-$settings/paddock.env
ExecStart=$command serve
Restart=on-failure
RestartSec=2
TimeoutStopSec=20

[Install]
WantedBy=default.target
END
    fi
    service_manager daemon-reload
    service_manager enable --quiet paddock.service
    service_manager restart paddock.service
    say "the service runs: curl http://localhost:11434/api/version"
}

remove() {
    if [ -e "$unit" ] && has_services; then
        service_manager disable --quiet --now paddock.service || true
    fi
    rm -rf "$program" "$command" "$unit" "$settings"
    if has_services; then service_manager daemon-reload || true; fi
    # What is not a model: keys, responses, computed prompts.
    if [ "$scope" = system ] && [ -d "$state" ]; then
        find "$state" -mindepth 1 -maxdepth 1 ! -name models -exec rm -rf {} +
    else
        rm -rf "$state"/paddock-*
    fi
    if [ "$models" = yes ]; then
        rm -rf "$state/models"
        rmdir "$state" 2>/dev/null || true
        say "removed, with the models"
    else
        say "removed; the models stay in $state/models"
    fi
}

main() {
    parse_options "$@"
    set_folders
    if [ "$uninstall" = yes ]; then
        remove
        exit 0
    fi
    check_platform
    say "installing $VERSION"
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    trap 'exit 1' HUP INT TERM
    fetch_archive
    install_program
    install_settings
    say "$("$command" --version | head -n 1) is installed as $command"
    if [ "$service" = no ]; then
        say "start it with: $command serve"
    elif has_services; then
        install_service
    else
        say "no systemd runs here, so no service was set up; start it with: $command serve"
    fi
    case ":$PATH:" in
    *":$(dirname "$command"):"*) ;;
    *) say "$(dirname "$command") is not in PATH" ;;
    esac
}

main "$@"
