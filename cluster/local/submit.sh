#!/bin/sh
# A fit on this machine, in the background: submit.sh SOURCES… --run URL …
set -eu
exec dtopics submit --on local --workers "${WORKERS:-$(nproc)}" --memory "${MEMORY:-2GiB}" -- fit "$@"
