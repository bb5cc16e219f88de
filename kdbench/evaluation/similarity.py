"""The similarity of a student and a teacher, apart from their answers. Only trusted code runs here.

`Record.scalars` has these numbers for a student and both teachers of its question, whether it was taught by them or
not. An independent student is compared with the teachers of all questions, so that its numbers can be subtracted. The
names in the record say which teacher it was (`kdbench.records.comparison_name`). A number that cannot be computed is
left out:

- `cka`: debiased linear CKA of the pooled features on all clean images; about 0 for unrelated features, 1 for features
  that are equal up to a rotation and a scale.
- `occlusion_correlation`: mean over images of the rank correlation of both networks' occlusion maps, -1 to 1.
- `occlusion_correlation_off_centre`: the same, with the closeness of each square to the image's centre partialled out:
  since most objects are near the centre, the maps of unrelated networks agree, too.
- `occlusion_overlap`: mean over images of the overlap (intersection over union) of the fifth of the squares that matter
  most to each network.
- `occlusion_undefined`: share of the images without a correlation, because one of the maps is constant.

One number describes a single network, on tracks with known objects (`synthetic`):

- `occlusion_on_object`: mean over images of the share of the occlusion map's positive part that lies on the object. A
  network to which every place matters equally has the object's share of the frame.

The numbers of the occlusion maps (`kdbench.evaluation.occlusion`) are diagnostics. All numbers are computed in float32,
whatever the track's precision. None is ever ranked: unrelated networks that learned the same task are similar, too.
"""

import numpy as np

from kdbench.evaluation.features import PooledFeatures


def feature_similarity(student: PooledFeatures, teacher: PooledFeatures) -> dict[str, float]:
    """Return `cka` of the features of two networks on the same images; empty if it is undefined."""
    cka = debiased_cka(student, teacher)
    return {"cka": cka} if np.isfinite(cka) else {}


def debiased_cka(x: PooledFeatures, y: PooledFeatures) -> float:
    """Return linear centred kernel alignment with the unbiased estimator of HSIC; NaN if one side does not vary.

    The usual estimator grows with the number of features: it is .54 for 2,048 and 768 unrelated features of 1,000
    images.

    Source: Song et al. (2012), JMLR 13, eq. 5; Nguyen, Raghu & Kornblith (2021), arXiv:2010.15327, eq. 3.

    Args:
        x, y: (n, P) and (n, Q) features of the same n images, n at least 4.
    """
    if len(x) < 4:
        return float("nan")
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    own = _unbiased_hsic(x, x) * _unbiased_hsic(y, y)
    return float(_unbiased_hsic(x, y) / np.sqrt(own)) if own > 0 else float("nan")


def _unbiased_hsic(x: PooledFeatures, y: PooledFeatures) -> float:
    """Return HSIC of linear kernels K = x x', L = y y' with zero diagonals, without making an (n, n) matrix."""
    n = len(x)
    square_x, square_y = (x**2).sum(axis=1), (y**2).sum(axis=1)
    trace = ((x.T @ y) ** 2).sum() - square_x @ square_y
    rows_x, rows_y = x @ x.sum(axis=0) - square_x, y @ y.sum(axis=0) - square_y
    whole = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    return float((trace + whole - 2 / (n - 2) * (rows_x @ rows_y)) / (n * (n - 3)))
