"""Stratified, seeded splits."""

import zlib

import numpy as np
import numpy.typing as npt


def assign_splits(
    labels: npt.NDArray[np.int64],
    domains: npt.NDArray[np.str_],
    splits: npt.NDArray[np.str_],
    test_fraction: float,
    seed: int,
    by_class: bool = False,
    sources: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.str_]:
    """Gives every image a split, domain by domain; a split that the data carry is kept.

    Images without a split are parted into train and test. Where a domain then has no test images,
    they are held out of its train images in the same way. Each of several sources is a domain of
    its own here, with the split that it would have as the only one.

    Args:
        labels: (N,), -1 where unknown; those are drawn without regard to class.
        domains: (N,).
        splits: (N,) of ``train``, ``val``, ``test`` or an empty string.
        test_fraction: In [0, 1).
        seed: One seed gives one split of a domain, whatever the other domain holds.
        by_class: Hold whole classes out, that part of them, in place of a part of each; the same
            ones of all sources.
        sources: (N,), which of several sources each is of, -1 for the target.

    Returns:
        (N,) of ``train``, ``val`` or ``test``.
    """
    assigned = np.array(splits, dtype="<U5")
    named = np.zeros_like(labels) if sources is None or by_class else sources
    for domain, source in sorted(set(zip(domains.tolist(), named.tolist(), strict=True))):
        rng = np.random.default_rng([seed, zlib.crc32(str(domain).encode())])
        here = (domains == domain) & (named == source)
        without = here & (assigned == "")
        assigned[without] = "train"
        if not without.any() and not (here & (assigned == "test")).any():
            without = here & (assigned == "train")
        rows = np.flatnonzero(without)
        hold_out = classes_held_out if by_class else held_out
        assigned[rows[hold_out(labels[rows], test_fraction, rng)]] = "test"
    return assigned


def hold_out_validation(
    labels: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int64],
    fraction: float,
    seed: int,
    by_class: bool = False,
    sources: npt.NDArray[np.int64] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Parts ``indices`` into training and validation, stratified by class, in each source.

    Args:
        labels: (N,) of the whole table.
        indices: (M,) rows of the table, no row twice.
        fraction: Part that becomes validation, in [0, 1).
        seed: The same rows in any order and the same seed give the same parts.
        by_class: Hold whole classes out, that part of them, in place of a part of each; the same
            ones of all sources.
        sources: (N,) of the whole table: which of several sources each is of.

    Returns:
        Rows for training and rows for validation, each sorted. A class with one image stays in
        training, so validation is empty when all have one.
    """
    rows = np.sort(indices)
    hold_out = classes_held_out if by_class else held_out
    named = np.zeros_like(rows) if sources is None or by_class else sources[rows]
    held = np.zeros(len(rows), dtype=bool)
    for source in np.unique(named):
        here = named == source
        held[here] = hold_out(labels[rows[here]], fraction, np.random.default_rng(seed))
    return rows[~held], rows[held]


def held_out(
    labels: npt.NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Marks a stratified part of the images: each class gives its share, to within one image.

    ``round(fraction * N)`` images are marked, at least one; a class never gives its last image, so
    it can be fewer. (scikit-learn's stratified split refuses a class with one image.)

    Args:
        labels: (N,).
        fraction: In [0, 1).
        rng: Draws the images, and the classes that give one more.

    Returns:
        (N,) of bool.

    Raises:
        ValueError: ``fraction`` is outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction={fraction}: in [0, 1)")
    marked = np.zeros(len(labels), dtype=bool)
    if fraction == 0 or len(labels) == 0:
        return marked
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    quotas = _quotas(counts, fraction, rng)
    # Rows in random order, then sorted by class: the first of each class are the ones to mark.
    order = rng.permutation(len(labels))
    order = order[np.argsort(classes[order], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    marked[order] = rank < np.repeat(quotas, counts)
    return marked


def classes_held_out(
    labels: npt.NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Marks all images of some classes: ``round(fraction * C)`` of C, at least one.

    Args:
        labels: (N,); unlabelled images (-1) are never marked.
        fraction: In [0, 1).
        rng: Draws the classes.

    Returns:
        (N,) of bool.
    """
    classes = np.unique(labels[labels >= 0])
    chosen = rng.permutation(classes)[: max(1, round(fraction * len(classes)))]
    return np.isin(labels, chosen if fraction > 0 else [])


def _quotas(
    counts: npt.NDArray[np.intp], fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Images that each class gives, by largest remainder; ties are broken at random."""
    exact = counts * fraction
    most = counts - 1
    quotas: npt.NDArray[np.intp] = np.minimum(np.floor(exact).astype(np.intp), most)
    wanted = max(1, round(float(counts.sum()) * fraction)) - int(quotas.sum())
    ties = rng.random(len(counts))
    for index in np.lexsort((ties, quotas - exact)):
        if wanted > 0 and quotas[index] < most[index]:
            quotas[index] += 1
            wanted -= 1
    return quotas
