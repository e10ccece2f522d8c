#!/usr/bin/env bash
# The checks, or with `figures` the longer figures, on a GPU machine without a package index.
#
#     tests/gpu/run.sh [checks|figures] [words of checks.py or figures.py]
#
# Needs the kit (`make gpu-kit`). Writes to the folder that OUT names, by default tests/gpu/out.
# PYTHON: the interpreter whose packages are used, by default python3. VENV: where to make the
# environment, by default a new temporary folder; one that is there is used as it is.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
python=${PYTHON:-python3}
what=${1:-checks}
[ $# -gt 0 ] && shift
case $what in
checks | figures) ;;
-h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) echo "usage: $0 [checks|figures] [WORDS], not $what; --help says more" >&2; exit 2 ;;
esac
if [ ! -d "$here/kit/wheels" ]; then
    echo "There is no kit in $here/kit: make gpu-kit, on a machine with a package index." >&2
    exit 2
fi
export OUT=${OUT:-$here/out}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit 2
venv=${VENV:-$(mktemp -d)/venv}

start=$(date +%s)
if [ ! -x "$venv/bin/python" ]; then
    # Without a pip of its own: systems that split Python have none to give.
    "$python" -m venv --system-site-packages --without-pip "$venv" || exit 2
    # Sees what the interpreter sees, also where that is a virtual environment itself.
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$python" -c 'import sys; print("\n".join(p for p in sys.path if p.endswith("-packages")))' \
        >"$site/of_the_interpreter.pth"
    echo "$root" >"$site/project.pth" # should its installation fail
fi
pip() { "$python" -m pip --python "$venv/bin/python" install --quiet --no-index \
    --disable-pip-version-check "$@" >>"$OUT/install.log" 2>&1; }
wheels=$here/kit/wheels
: >"$OUT/install.log"
if pip --find-links "$wheels" --no-build-isolation -e "$root"; then
    echo "installed" >"$OUT/install.state"
else
    # What is there does not fit what setup.cfg asks for: take all wheels, and see what works.
    tail -n 3 "$OUT/install.log"
    echo "with faults: $(grep -m 1 -i error "$OUT/install.log")" >"$OUT/install.state"
    pip --no-deps "$wheels"/*.whl && pip --no-deps --no-build-isolation -e "$root"
fi
echo "environment: $(cat "$OUT/install.state") in $(($(date +%s) - start)) s"
export PYTHONUNBUFFERED=1 PYTHONPATH=$root/tests
export INSTALL_S=$(($(date +%s) - start))
cd "$root" && exec "$venv/bin/python" "tests/gpu/$what.py" "$@"
