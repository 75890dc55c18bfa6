"""The minimum spanning tree of points by mutual reachability, exact over any number of parts.

Points are divided into boxes by a k-d tree of a sample. Each part measures its core distances,
looking into other parts where neighbourhoods reach them, and builds its own spanning tree; what is
sure to be in the tree of all points is joined at once. Borůvka's rounds join the rest: each part
names the lightest edge out of each of its components, one merge joins them, until one is left. A
strict total order on edges makes the tree unique: the same for any division, bit for bit.

`parts` holds what is done within a part, `_kernels` the loops, `memory` does all parts in one
process, `steps` does them as block steps over a run directory.
"""
