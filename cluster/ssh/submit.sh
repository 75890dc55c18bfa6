#!/bin/sh
# A fit on bare hosts: HOSTS=one,two submit.sh SOURCES… --run URL …
set -eu
exec dtopics submit --on ssh --hosts "$HOSTS" --workers "${WORKERS:-2}" --memory "${MEMORY:-4GiB}" -- fit "$@"
