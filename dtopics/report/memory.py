"""What a worker must hold, and a refusal before work starts where it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from dtopics.errors import ClusterError

MIB = 2**20
#: What a worker needs before any work: the libraries.
WORKER_BYTES = 700 * MIB
#: A fitted UMAP's peak for a document of the sample.
SAMPLE_BYTES = 14_000
#: The tree of HDBSCAN's edges, for a document, on one worker.
TREE_BYTES = 60
#: Refining: a stretch's codes, heaps and edges, and the places of all documents before an epoch.
SPAN_BYTES = 600 * MIB
PLACES_BYTES = 20
#: A row of a block: its vectors in the forms that a step holds, and its text in as many.
VECTOR_BYTES = 6 * 768
TEXT_COPIES = 8


@dataclass(frozen=True)
class Need:
    """Bytes that a worker must hold at the peak, by what asks for them.

    Attributes
    ----------
    n_documents : int
    block_rows : int
    sample_size : int
        Documents that a UMAP is fitted on; 0 where none is.
    row_bytes : int
        Of a row of a block.
    clusters : bool
        Whether a tree of all documents is made.
    refines : bool
        Whether all documents are moved after they were placed.
    """

    n_documents: int
    block_rows: int
    sample_size: int
    row_bytes: int
    clusters: bool = True
    refines: bool = False

    @classmethod
    def of(
        cls,
        n_documents: int,
        block_rows: int,
        sample_size: int,
        text_bytes: int,
        *,
        clusters: bool = True,
        refines: bool = False,
    ) -> Need:
        """Return the need of documents with so many bytes of text in all."""
        row_bytes = VECTOR_BYTES + TEXT_COPIES * (text_bytes // max(n_documents, 1))
        sample = min(sample_size, n_documents)
        return cls(n_documents, block_rows, sample, row_bytes, clusters, refines)

    @property
    def block(self) -> int:
        """Of every worker, for a block."""
        return WORKER_BYTES + self.block_rows * self.row_bytes

    @property
    def sample(self) -> int:
        """Of the worker that fits UMAP."""
        return WORKER_BYTES + self.sample_size * SAMPLE_BYTES

    @property
    def refining(self) -> int:
        """Of every worker, for a span of documents that are moved."""
        held = SPAN_BYTES + self.n_documents * PLACES_BYTES if self.refines else 0
        return WORKER_BYTES + held

    @property
    def tree(self) -> int:
        """Of the worker that makes the clusters' tree."""
        return WORKER_BYTES + (self.n_documents * TREE_BYTES if self.clusters else 0)

    @property
    def whole(self) -> int:
        """Of the worker that does the global steps."""
        return max(self.sample, self.tree)

    def check(self, limit: int) -> None:
        """Refuse workers of so many bytes, where they cannot hold it.

        Parameters
        ----------
        limit : int
            Of the smallest worker, which any step may come to.

        Raises
        ------
        ClusterError
            It names the setting under which they could, or the memory that is needed.
        """
        room = limit - WORKER_BYTES
        for needed, what, fits, setting in (
            (self.block, f"a block of {self.block_rows:,} documents", self.row_bytes, "block_size"),
            (self.sample, f"UMAP on {self.sample_size:,} documents", SAMPLE_BYTES, "sample_size"),
            (self.refining, f"refining {self.n_documents:,} documents", 0, "refine=0"),
            (self.tree, f"the tree of {self.n_documents:,} documents", 0, ""),
        ):
            if needed <= limit:
                continue
            most = _rounded(room // fits) if fits and room > 0 else 0
            instead = f"{setting}, or " if setting and not fits else ""
            if most >= 100:
                instead = f"{setting}={most:_}, or "
            message = (
                f"{what} takes about {needed / MIB:,.0f} MiB of a worker, and the smallest has "
                f"{limit / MIB:,.0f}: give {instead}workers of {_gib(needed)} GiB"
            )
            raise ClusterError(message)


def _rounded(number: int) -> int:
    """Return a number with its first two digits only."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return number // unit * unit


def _gib(n_bytes: int) -> float:
    """Return gibibytes, up to the next half."""
    return -(-2 * n_bytes // 2**30) / 2
