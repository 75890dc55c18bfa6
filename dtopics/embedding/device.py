"""Where a model runs, and in which precision."""

from __future__ import annotations

from pathlib import Path


def best_device() -> str:
    """Return ``cuda``, ``mps`` or ``cpu``, the first that is there."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def usable_device(device: str | None) -> str:
    """Return `device` where this machine has it, else the best that it has."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(),
             "mps": torch.backends.mps.is_available()}  # fmt: skip
    return device if device is not None and there.get(device, True) else best_device()


def best_dtype(device: str) -> str:
    """Return the precision that a device is fastest in while vectors stay faithful.

    Half precision on GPUs. On CPUs bfloat16 where instructions compute in it (measured with
    MiniLM: 1.7 times faster, cosine to float32 at least 0.9998), else float32. Decided by what the
    hardware says of itself, never by timing, so that all blocks of a run agree.
    """
    if device == "cuda":
        return "float16"
    if device == "cpu" and _cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}:
        return "bfloat16"
    return "float32"


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return set(next(listed, "").split())
