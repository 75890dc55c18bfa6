"""Jobs for clusters: a folder of scripts that says everything, and one command that sends it.

Each way to run is one file with a class: what it needs to know, the `files` that it makes of it,
and `send`. What is sent is an ordinary ``dtopics fit``, ``transform`` or ``update``: a job that is
broken off, whatever ended it, goes on when it is sent again.
"""

from dtopics.submitting.job import Job, prepare
from dtopics.submitting.kubernetes import Kubernetes
from dtopics.submitting.local import Local
from dtopics.submitting.slurm import ElasticSlurm, Slurm
from dtopics.submitting.ssh import Ssh

__all__ = ["ElasticSlurm", "Job", "Kubernetes", "Local", "Slurm", "Ssh", "prepare"]
