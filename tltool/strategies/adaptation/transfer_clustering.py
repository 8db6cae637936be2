"""Clusters of the target, found from those of the source."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.metric import class_means, minus_squared_distances
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.closed_form import SEED, Standardised, gather, linear_head
from tltool.strategies.supervised import supervised

ROUNDS = 100  # of assignment and update at most; it stops where assignments stay
STARTS = 10  # of the source's k-means, of which the best is taken


class TransferClustering(Strategy):
    """The target is clustered without labels, with the source's clusters as prior knowledge.

    On features z, those of each domain brought to mean 0 and variance 1 by themselves: without
    that a shift of the whole domain lets one cluster swallow the others. There are as many clusters
    as classes. First k-means on the source gives centres ``s_k``. Then the target's centres start
    there and are adapted until assignments stay:

        a_j = argmin_k |z_tj - t_k|^2,    t_k = (sum_{j: a_j = k} z_tj + relevance s_k)
                                                / (n_k + relevance)

    which lowers ``sum_j |z_tj - t_{a_j}|^2 + relevance * sum_k |t_k - s_k|^2`` in every round: the
    k-means of the target, each centre with a prior at the source's. No labels enter it, of either
    domain. A label is only a cluster's name: clusters and classes are matched one to one, so that
    most examples of the *source* are in the cluster of their class. Prediction is the nearest
    target centre, as the linear head ``2 t_k' z - |t_k|^2`` with the target's z, which replaces the
    trained one, for source examples too.

    Features come from what is trained before. By default that is the whole network, on the source's
    labels: clusters of features that know nothing of the classes are not the classes. With
    ``frozen=true`` the backbone stays as it is, pretrained or trained by a step before
    (`strategy=pipeline strategy.steps=[simclr,transfer_clustering]`), and all of it but names is
    unsupervised transfer, the third class of [0].

    Batch: ``source.x``, ``source.y`` (B,); of ``target.x`` the features at the end.

    Args:
        relevance: How many target examples the prior of one centre is worth, at least 0; 0 is
            plain k-means that starts from the source's centres.
        frozen: Train the head alone, which the centres then replace.
        most: Examples of each domain at most, drawn at random.

    References:
        [0] Pan & Yang, A survey on transfer learning, TKDE 2010, section 5, and Dai et al.,
            Self-taught clustering, ICML 2008, which clusters counts of features together with both
            domains' examples, by their mutual information.
        [1] Reynolds, Quatieri & Dunn, Speaker verification using adapted Gaussian mixture models,
            2000: the same update of means, for soft assignments, with a relevance of 16.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")

    def __init__(self, relevance: float = 16.0, frozen: bool = False, most: int = 2000) -> None:
        super().__init__()
        if relevance < 0:
            raise ValueError(f"relevance must not be negative, got {relevance}")
        if most < 2:
            raise ValueError(f"most must be at least 2, got {most}")
        self.relevance, self.frozen, self.most = relevance, frozen, most

    def build(self, net: Net, spec: DataSpec) -> None:
        """Looks whether the head can be replaced, and takes the number of clusters."""
        linear_head(net, "transfer_clustering")
        self.clusters = spec.num_classes
        smallest = min(self.most, spec.sizes.get("source", 0))
        if smallest < self.clusters:
            raise ValueError(f"{self.clusters} clusters of the source need as many examples")

    def stages(self) -> Sequence[Stage]:
        """Returns one stage; on cached features where the backbone stays as it is."""
        return [Stage(cached_features=self.frozen)]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, list[torch.nn.Parameter]]]:
        """Returns the network, or its head alone."""
        return [{"params": list((net.head if self.frozen else net).parameters())}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification`` of the source."""
        return supervised(net, batch["source"])

    @torch.no_grad()
    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Clusters source and target, names the clusters, and puts them into the head."""
        source, y = gather(net, data, "source", self.most)
        target, _ = gather(net, data, "target", self.most)
        assert y is not None  # of the source
        of_source, of_target = Standardised.of(source), Standardised.of(target)
        centres = source_centres(of_source.z, self.clusters)
        found = adapted_centres(of_target.z, centres, self.relevance)
        assigned = minus_squared_distances(of_source.z, centres).argmax(dim=1)
        named = found[cluster_of_class(assigned, y, self.clusters)]
        head = linear_head(net, "transfer_clustering")
        of_target.put(head, 2 * named, -named.square().sum(dim=1))


def source_centres(features: Tensor, clusters: int) -> Tensor:
    """Returns the centres ``(K, D)`` of k-means on features ``(N, D)``."""
    from sklearn.cluster import KMeans

    found = KMeans(clusters, n_init=STARTS, random_state=SEED).fit(features.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(features)


def adapted_centres(features: Tensor, prior: Tensor, relevance: float) -> Tensor:
    """Returns the centres ``(K, D)`` of features ``(N, D)``, from prior ones; see the class.

    A cluster that gets no example stays at its prior.
    """
    centres, before = prior, None
    for _ in range(ROUNDS):
        assigned = minus_squared_distances(features, centres).argmax(dim=1)
        if before is not None and torch.equal(assigned, before):
            break
        before = assigned
        count = torch.bincount(assigned, minlength=len(prior)).unsqueeze(1).to(features)
        # Of an empty cluster the share is 0, also where the relevance is.
        share = count / (count + relevance).clamp_min(1e-12)
        centres = torch.where(
            count > 0,
            share * class_means(features, assigned, len(prior)) + (1.0 - share) * prior,
            prior,
        )
    return centres


def cluster_of_class(assigned: Tensor, y: Tensor, classes: int) -> Tensor:
    """Returns which cluster each class is ``(C,)``, one to one, so that most examples agree.

    Args:
        assigned: Clusters ``(N,)``, as many as classes.
        y: Classes ``(N,)``.
        classes: C.
    """
    from scipy.optimize import linear_sum_assignment

    counts = torch.bincount(y * classes + assigned, minlength=classes * classes)
    table = counts.reshape(classes, classes).cpu().numpy()
    return torch.from_numpy(linear_sum_assignment(table, maximize=True)[1]).to(y.device)
