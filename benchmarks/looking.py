"""What the refinement looks at, and reads, as a corpus grows.

``python -m benchmarks looking`` divides a sample of the Reddit titles into cells, codes all titles,
and then supposes that each cell holds so many times as many: among how many documents each is
looked for, and how often a code is read, by the stretches whose documents look at its cell.
"""

import numpy as np

from benchmarks.corpora import static

SAMPLE, PROBES, PLACES = 100_000, 4_000, 32
SIZES = (300_000, 1_128_958, 5_000_000, 10_000_000, 100_000_000, 1_000_000_000)


def main(_options):
    from dtopics.reduction.cells import divide, encoded
    from dtopics.reduction.products import products
    from dtopics.reduction.refining import SPAN_ROWS
    from dtopics.reduction.refining.graph import _looking, _runs
    from dtopics.reduction.refining.steps import AXES, cells_of_rows

    vectors = static("reddit_titles")[1].astype(np.float32)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(vectors), SAMPLE, replace=False))
    cells = divide(vectors[chosen], "cosine", AXES)
    codes = encoded(vectors, cells)
    where = cells_of_rows(codes, cells)
    codes = codes[np.argsort(where, kind="stable")]
    counts = np.bincount(where, minlength=len(cells.centres))
    firsts, n_codes = np.append(0, np.cumsum(counts)), codes.shape[1]
    probes = np.sort(rng.choice(len(codes), PROBES, replace=False))
    print("| documents | looked at for each | a code is read, times | parts of it by a stretch |")
    print("|---|---|---|---|")
    for n in SIZES:
        grown = np.rint(firsts * (n / len(codes))).astype(np.int64)
        sizes = np.diff(grown)
        with products() as multiply:
            _, starts = _looking(codes[probes], cells, sizes, multiply)
        looked_at = (np.diff(starts) * sizes).sum() / PROBES
        read, own, parts = 0, 0, []
        for start in np.linspace(0, n - SPAN_ROWS, PLACES).astype(np.int64):
            # the stretch's documents, or all of its first and last cell where those are more
            a, b = np.searchsorted(grown, [start + 1, start + SPAN_ROWS]) - [1, 0]
            with products() as multiply:
                _, starts = _looking(codes[firsts[a] : firsts[b]], cells, sizes, multiply)
            runs = list(_runs(grown, np.flatnonzero(np.diff(starts) * sizes), n_codes))
            read += sum(stop - start for start, stop in runs)
            own += SPAN_ROWS
            parts.append(len(runs))
        print(f"| {n:,} | {looked_at:,.0f} | {read / own:.0f} | {np.mean(parts):.0f} |")


if __name__ == "__main__":
    main([])
