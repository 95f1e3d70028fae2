"""Losses on embeddings. One loss a file; `MetricLoss` is the contract."""

from tensorflow_similarity.losses.arc_face_loss import ArcFaceLoss
from tensorflow_similarity.losses.circle_loss import CircleLoss
from tensorflow_similarity.losses.class_loss import Classes, ClassLoss
from tensorflow_similarity.losses.contrastive_loss import ContrastiveLoss
from tensorflow_similarity.losses.cos_face_loss import CosFaceLoss
from tensorflow_similarity.losses.cosent_loss import CoSENTLoss
from tensorflow_similarity.losses.fast_ap_loss import FastAPLoss
from tensorflow_similarity.losses.generalized_lifted_structure_loss import (
    GeneralizedLiftedStructureLoss,
)
from tensorflow_similarity.losses.info_nce_loss import InfoNCELoss
from tensorflow_similarity.losses.lifted_structure_loss import (
    LiftedStructLoss,
    LiftedStructureLoss,
)
from tensorflow_similarity.losses.margin_loss import MarginLoss
from tensorflow_similarity.losses.matryoshka_loss import MatryoshkaLoss
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.multi_negatives_rank_loss import (
    MultiNegativesRankLoss,
)
from tensorflow_similarity.losses.multi_similarity_loss import MultiSimilarityLoss
from tensorflow_similarity.losses.n_pairs_loss import NPairsLoss
from tensorflow_similarity.losses.nca_loss import NCALoss
from tensorflow_similarity.losses.normalized_softmax_loss import NormalizedSoftmaxLoss
from tensorflow_similarity.losses.nt_xent_loss import NTXentLoss
from tensorflow_similarity.losses.pairs import Pairs, make_pairs
from tensorflow_similarity.losses.pn_loss import PNLoss
from tensorflow_similarity.losses.preset import Preset, presets
from tensorflow_similarity.losses.proxy_anchor_loss import ProxyAnchorLoss
from tensorflow_similarity.losses.proxy_nca_loss import ProxyNCALoss
from tensorflow_similarity.losses.recall_at_k_surrogate_loss import (
    RecallAtKSurrogateLoss,
)
from tensorflow_similarity.losses.roadmap_loss import ROADMAPLoss
from tensorflow_similarity.losses.siglip_loss import SigLIPLoss
from tensorflow_similarity.losses.smooth_ap_loss import SmoothAPLoss
from tensorflow_similarity.losses.snr_contrastive_loss import SNRContrastiveLoss
from tensorflow_similarity.losses.soft_nearest_neighbor_loss import (
    SoftNearestNeighborLoss,
)
from tensorflow_similarity.losses.soft_triple_loss import SoftTripleLoss
from tensorflow_similarity.losses.sub_center_arc_face_loss import SubCenterArcFaceLoss
from tensorflow_similarity.losses.sum_of_losses import SumOfLosses
from tensorflow_similarity.losses.sup_con_loss import SupConLoss
from tensorflow_similarity.losses.threshold_consistent_margin_loss import (
    ThresholdConsistentMarginLoss,
)
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.losses.triplet_loss import TripletLoss, TripletMarginLoss
from tensorflow_similarity.losses.xbm import XBM

__all__ = [
    "ArcFaceLoss",
    "CircleLoss",
    "ClassLoss",
    "Classes",
    "CoSENTLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "FastAPLoss",
    "GeneralizedLiftedStructureLoss",
    "InfoNCELoss",
    "LiftedStructLoss",
    "LiftedStructureLoss",
    "MarginLoss",
    "MatryoshkaLoss",
    "MetricLoss",
    "MultiNegativesRankLoss",
    "MultiSimilarityLoss",
    "NCALoss",
    "NPairsLoss",
    "NTXentLoss",
    "NormalizedSoftmaxLoss",
    "PNLoss",
    "Pairs",
    "Preset",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "ROADMAPLoss",
    "RecallAtKSurrogateLoss",
    "SNRContrastiveLoss",
    "SigLIPLoss",
    "SmoothAPLoss",
    "SoftNearestNeighborLoss",
    "SoftTripleLoss",
    "SubCenterArcFaceLoss",
    "SumOfLosses",
    "SupConLoss",
    "ThresholdConsistentMarginLoss",
    "TrainedLoss",
    "TripletLoss",
    "TripletMarginLoss",
    "XBM",
    "make_pairs",
    "presets",
]
