#!/bin/sh
# A fit in one allocation of SLURM: submit.sh SOURCES… --run URL …
set -eu
exec dtopics submit --on slurm --workers "${WORKERS:-4}" --threads "${THREADS:-1}" --memory "${MEMORY:-4GiB}" -- fit "$@"
