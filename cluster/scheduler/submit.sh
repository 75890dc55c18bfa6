#!/bin/sh
# A fit on a Dask cluster that is there: submit.sh ADDRESS SOURCES… --run URL …
set -eu
address=$1
shift
exec dtopics submit --on scheduler --scheduler "$address" -- fit "$@"
