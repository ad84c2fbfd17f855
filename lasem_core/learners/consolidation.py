"""Hierarchical knowledge consolidation of APD-Net (Yoon et al. 2020, Section 3.2), one layer at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sklearn.cluster import KMeans
from torch import Tensor


def consolidate(
    taus: Sequence[Tensor], n_clusters: int, tolerance: float, seed: int
) -> tuple[list[int], dict[int, Tensor], list[Tensor]]:
    """Move what the tau's of a cluster agree on into one tensor.

    Arguments:
        taus: one tensor per task, complete (earlier locally shared parts added back).
        tolerance: an entry whose values within a cluster span at most this is shared, as the middle of its span.

    Returns: cluster of each task, locally shared tensor by cluster (none for a cluster of one), new tau's.
    """
    points = torch.stack([tau.flatten() for tau in taus]).cpu().numpy()
    n_clusters = min(n_clusters, len(taus))
    labels = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(points).tolist()
    local: dict[int, Tensor] = {}
    new = [tau.clone() for tau in taus]
    for cluster in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == cluster]
        if len(members) > 1:
            local[cluster], agreed = _middle(torch.stack([taus[i] for i in members]), tolerance)
            for i in members:
                new[i][agreed] = 0
    return labels, local, new


def _middle(values: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    low, high = values.amin(0), values.amax(0)
    agreed = high - low <= tolerance
    return (low + high) / 2 * agreed, agreed
