#!/bin/sh
# A fit with a worker for each GPU of SLURM machines: submit.sh SOURCES… --run URL …
set -eu
exec dtopics submit --on slurm --gpus "${GPUS:-1}" --workers "${WORKERS:-1}" --threads "${THREADS:-8}" \
    --memory "${MEMORY:-32GiB}" -- fit "$@"
