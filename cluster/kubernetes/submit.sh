#!/bin/sh
# A fit on Kubernetes: IMAGE=… submit.sh SOURCES… --run URL …
set -eu
exec dtopics submit --on kubernetes --image "$IMAGE" --secret "${SECRET:-store}" --workers "${WORKERS:-10}" \
    --memory "${MEMORY:-4GiB}" -- fit "$@"
