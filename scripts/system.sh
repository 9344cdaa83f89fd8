# What scripts/setup and scripts/install ask of the machine: a Python, a virtual environment, a Chromium, a PostgreSQL.
# Sourced, with the repository as the current directory.

say() { echo "mooring: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# Print the interpreter to use: $PYTHON, or the first one of a version that Mooring runs on.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
            2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "${PYTHON:-python3} is no Python 3.11, 3.12 or 3.13; install one, or name it: make PYTHON=…"
}

# Make a virtual environment with the interpreter $1 in $2 (.venv); one that is there is kept when it
# is of that very version.
make_venv() {
    local version='import sys; print(sys.version)' place="${2:-.venv}"
    if [ "$("$place/bin/python" -c "$version" 2>/dev/null)" = "$("$1" -c "$version")" ] &&
        "$place/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian has it in a package of its own.
        local package
        package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        install_package "$package" "python's venv module"
    fi
    say "making $place with $1"
    rm -rf "$place"
    "$1" -m venv "$place"
}

find_chromium() {
    local name
    for name in "${MOORING_BROWSER__EXECUTABLE:-}" \
        chromium chromium-browser google-chrome google-chrome-stable; do
        [ -n "$name" ] && command -v "$name" >/dev/null && return
    done
    install_package chromium "Chromium or Chrome"
}

# The tests run servers of their own; one that the package starts is neither needed nor touched.
find_postgres() {
    local found
    for found in /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$found" ] && return
    done
    command -v postgres >/dev/null && return
    install_package postgresql "PostgreSQL's server"
}

# Install the Debian package $1, which gives $2; elsewhere say what is missing.
install_package() {
    if ! is_debian; then
        fail "$2 is missing; install it and run make again (on Debian: the package $1)"
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "$2 is missing; as root: apt-get install $1"
        as_root=(sudo)
        [ -t 0 ] || as_root=(sudo -n) # nobody is there to be asked for a password
    fi
    say "installing $1"
    local output
    if ! output=$({
        "${as_root[@]}" apt-get update &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends "$1" </dev/null
    } 2>&1); then
        echo "$output" >&2
        fail "$2 is missing and could not be installed; as root: apt-get install $1"
    fi
}

# Debian itself or close to it. Ubuntu's chromium is a snap, which a service cannot drive.
is_debian() {
    command -v apt-get >/dev/null &&
        grep -Eqx 'ID=debian|ID_LIKE="?debian"?' /etc/os-release 2>/dev/null &&
        ! grep -qx 'ID=ubuntu' /etc/os-release
}
