"""How block steps run: in this process or on Dask, with receipts, retries and resources.

An executor is given a stage, a step and blocks; it does the blocks that have no receipt yet.
Steps leave their data in the store and return receipts, so nothing of a document's size passes
through the scheduler or the client.
"""

from dtopics.execution.executor import Executor, InProcessExecutor
from dtopics.execution.progress import Progress, SilentProgress

__all__ = ["Executor", "InProcessExecutor", "Progress", "SilentProgress"]
