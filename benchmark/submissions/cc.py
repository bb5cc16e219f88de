"""Correlation congruence: Peng et al. (2019), "Correlation congruence for knowledge distillation", ICCV,
arXiv:1904.01802, as RepDistiller and OFA-KD (Hao et al. 2023, arXiv:2310.19444) have it.

    L    = CE(z_s, y) + a L_cc
    L_cc = mean_i sum_k |d[i, k]| |d[i + 1, k]|,  d = e_s - e_t,  i from 1 to B - 1,  e = W f + b

f are the vectors that the classifiers read, and the two linear layers e, of `width` numbers, are trained with the
student. Their difference is large where an image and the next one in the batch are embedded differently by the two
networks.

This is not the loss of the paper, which compares two B x B matrices of Gaussian kernels of the features. It is what
RepDistiller calls "correlation", and the results for CC in the papers of CRD and OFA-KD are those of this loss; OFA-KD
has it between a CNN and a ViT, in both roles. Its value depends on the order of the batch, and both embeddings may
become small together. The defaults are RepDistiller's and OFA-KD's: a = 0.02 and 128 numbers.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Task, Term
from kdbench.blocks import check_numbers, full_precision


@full_precision
def cc_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return L_cc of (B, width) embeddings; gradient flows to both. A batch of one image has a loss of 0."""
    differences = (student - teacher).abs()
    return (differences[:-1] * differences[1:]).sum() / max(len(differences) - 1, 1)


class CorrelationCongruence(Method):
    """Bring trained embeddings of the two networks together, for neighbours in the batch."""

    name, paper, directions = "cc", "arXiv:1904.01802", (*BOTH, "cnn-to-cnn")
    summary = "brings embeddings of the feature vectors together, for neighbours in the batch"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled"})

    @dataclass(frozen=True)
    class Config:
        """`correlation_weight` is a of the equations above, and `width` the size of the embeddings."""

        correlation_weight: float = 0.02
        width: int = 128

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("correlation_weight",), above_zero=("width",))

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        self.embed_s = nn.Linear(task.student.pooled, config.width)
        self.embed_t = nn.Linear(task.teacher.pooled, config.width)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        loss = cc_loss(self.embed_s(student.pooled), self.embed_t(teacher.pooled))
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "correlation": Term(loss, self.config.correlation_weight),
        }
