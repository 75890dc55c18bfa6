"""Kubernetes: Dask's operator keeps the cluster, a Job runs the command and begins it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask.utils import parse_bytes

from dtopics.execution.security import FILES, environment
from dtopics.submitting.job import DASK, Job, told

PORT, HEALTH_PORT = 8786, 8787
TLS = Path("/etc/dtopics-tls")
#: What clouds call machines that they may take away at any time; a node without the label is none.
SPOT_LABELS = {
    "cloud.google.com/gke-spot": ["true"],
    "eks.amazonaws.com/capacityType": ["SPOT"],
    "kubernetes.azure.com/scalesetpriority": ["spot"],
    "karpenter.sh/capacity-type": ["spot"],
}
SPOT_TAINTS = {"cloud.google.com/gke-spot": "true", "kubernetes.azure.com/scalesetpriority": "spot"}


@dataclass(frozen=True)
class Kubernetes:
    """A ``DaskCluster`` of Dask's operator, and a ``Job`` with a limit of how often it may fail.

    Attributes
    ----------
    job : Job
    image : str
        Of every role, as ``cluster/Dockerfile`` makes it.
    namespace : str
    secret : str or None
        A Secret whose keys become variables of every pod: the store's credentials.
    service_account : str or None
        One whose pods may use the store, where the cloud gives them credentials by that.
    """

    job: Job
    image: str
    namespace: str = "default"
    secret: str | None = None
    service_account: str | None = None

    def files(self) -> dict[str, str]:
        """Return ``job.yaml``: both objects."""
        import yaml

        return {"job.yaml": yaml.safe_dump_all([self.cluster(), self.task()], sort_keys=False)}

    def send(self) -> str:
        """Have the cluster make both; return the Job's name."""
        job = self.job
        if job.tls:
            made = ["kubectl", "create", "secret", "generic", f"{job.name}-tls",
                    "--namespace", self.namespace]  # fmt: skip
            told([*made, *(f"--from-file={job.place / 'tls' / name}" for name in FILES)])
        told(["kubectl", "apply", "--filename", str(job.place / "job.yaml")])
        return f"job.batch/{job.name} in {self.namespace}"

    def cluster(self) -> dict[str, Any]:
        """Return the ``DaskCluster``."""
        job = self.job
        return {
            "apiVersion": "kubernetes.dask.org/v1",
            "kind": "DaskCluster",
            "metadata": self._metadata(),
            "spec": {
                "worker": {"replicas": job.workers, "spec": self._worker()},
                "scheduler": {"spec": self._scheduler(), "service": self._service()},
            },
        }

    def task(self) -> dict[str, Any]:
        """Return the ``Job``: what ends it other than its own fault does not count."""
        job = self.job
        scheme = "tls" if job.tls else "tcp"
        address = f"{scheme}://{job.name}-scheduler.{self.namespace}.svc:{PORT}"
        command = ["python", "-m", "dtopics.cli", *job.command, "--scheduler", address]
        container = self._container("dtopics", command, memory="2GiB", cores=1)
        failing = [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 3]}},
            {
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
        ]
        pod = {**self._pod(container), "restartPolicy": "Never", "affinity": not_spot()}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": self._metadata(),
            "spec": {
                "backoffLimit": job.retries,
                "podFailurePolicy": {"rules": failing},
                "template": {"metadata": {"labels": {"app": job.name}}, "spec": pod},
            },
        }

    def _worker(self) -> dict[str, Any]:
        job = self.job
        kind = ["cuda", "worker", "--resources", "GPU=1"] if job.gpus else ["worker"]
        threads = [] if job.gpus else ["--nthreads", str(job.threads)]
        command = ["python", "-m", "dask", *kind, "--name", "$(DASK_WORKER_NAME)", *threads,
                   "--memory-limit", job.memory, "--death-timeout", "120",
                   "--no-dashboard"]  # fmt: skip
        container = self._container("worker", command, memory=job.memory, cores=job.threads)
        if job.gpus:
            container["resources"]["limits"]["nvidia.com/gpu"] = str(job.gpus)
        tolerations = [
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
            for key, value in SPOT_TAINTS.items()
        ]
        return {**self._pod(container), "tolerations": tolerations}

    def _scheduler(self) -> dict[str, Any]:
        command = ["python", "-m", "dask", "scheduler", "--port", str(PORT),
                   "--dashboard-address", f":{HEALTH_PORT}"]  # fmt: skip
        container = self._container("scheduler", command, memory="2GiB", cores=1)
        container["ports"] = [
            {"name": "tcp-comm", "containerPort": PORT, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ]
        for probe, delay in (("readinessProbe", 5), ("livenessProbe", 15)):
            container[probe] = {
                "httpGet": {"port": "http-dashboard", "path": "/health"},
                "initialDelaySeconds": delay, "periodSeconds": 20,
            }  # fmt: skip
        return {**self._pod(container), "affinity": not_spot()}

    def _service(self) -> dict[str, Any]:
        """Return the service; the dashboard is no part of it, for it asks nobody who they are."""
        chosen = {"dask.org/cluster-name": self.job.name, "dask.org/component": "scheduler"}
        port = {"name": "tcp-comm", "protocol": "TCP", "port": PORT, "targetPort": "tcp-comm"}
        health = {"name": "http-dashboard", "protocol": "TCP", "port": HEALTH_PORT,
                  "targetPort": "http-dashboard"}  # fmt: skip
        return {"type": "ClusterIP", "selector": chosen, "ports": [port, health]}

    def _metadata(self) -> dict[str, Any]:
        return {"name": self.job.name, "namespace": self.namespace}

    def _pod(self, container: Mapping[str, Any]) -> dict[str, Any]:
        pod: dict[str, Any] = {"containers": [container]}
        if self.service_account is not None:
            pod["serviceAccountName"] = self.service_account
        if self.job.tls:
            pod["volumes"] = [{"name": "tls", "secret": {"secretName": f"{self.job.name}-tls"}}]
        return pod

    def _container(
        self, name: str, command: Sequence[str], memory: str, cores: int
    ) -> dict[str, Any]:
        size = f"{parse_bytes(memory) // 2**20}Mi"
        encrypted = environment(TLS) if self.job.tls else {}
        variables = {**DASK, **encrypted, **self.job.environment}
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "args": list(command),
            "env": [{"name": key, "value": value} for key, value in variables.items()],
            "resources": {
                "requests": {"cpu": str(cores), "memory": size},
                "limits": {"memory": size},
            },
        }
        if self.secret is not None:
            container["envFrom"] = [{"secretRef": {"name": self.secret}}]
        if self.job.tls:
            container["volumeMounts"] = [{"name": "tls", "mountPath": str(TLS), "readOnly": True}]
        return container


def not_spot() -> dict[str, Any]:
    """Return the affinity that keeps a pod off machines that may be taken away."""
    terms = [
        {"key": key, "operator": "NotIn", "values": values} for key, values in SPOT_LABELS.items()
    ]
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": terms}]
            }
        }
    }
