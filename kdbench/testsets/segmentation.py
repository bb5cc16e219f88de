"""Object masks without learned weights, and the agreement of two methods that find them.

The mask relies on colour: it contains the pixels that differ most from the image's border, with more weight near the
centre. A random walker that starts from the centre and the border computes a second mask. If both agree, the image
counts as *covered*. There is no ground truth to compare with, and since both methods prefer the centre, they agree on
noise as well. The masks are therefore weak; the card of CIFAR-10 reports how much of the agreement is due to centring
alone.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import random_walker

from kdbench.data.array_types import Images, Masks

BORDER = 2  # width in pixels of the frame that defines the colours of the background
COLOUR_NOISE = 8.0  # grey levels, added to the border's spread so that the covariance of a flat border is not singular
CENTRE_WIDTH = 0.28  # standard deviation of the centre prior, in image widths
WALKER_SEED_RADIUS = 4.0  # pixels
WALKER_BETA = 130
AREA = (0.05, 0.90)  # smallest and largest share of the image that an accepted mask covers
AGREEMENT = 0.5  # smallest intersection over union of the two masks of a covered image


def object_masks(images: Images) -> tuple[Masks, Masks]:
    """Find the object in each image.

    Args:
        images: (n, H, W, 3) uint8.

    Returns:
        masks: (n, H, W) bool, from colours; all False if the area is not accepted.
        covered: (n,) bool, True if the mask is accepted and the random walker agrees with it.
    """
    masks = colour_masks(images)
    area = masks.mean(axis=(1, 2))
    masks[(area < AREA[0]) | (area > AREA[1])] = False
    covered = np.zeros(len(images), bool)
    for row in np.flatnonzero(masks.any(axis=(1, 2))):
        covered[row] = overlap(masks[row], walker_mask(images[row])) >= AGREEMENT
    return masks, covered


def overlap(first: Masks, second: Masks) -> float:
    """Return the intersection over union of two masks; 0 where both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def colour_masks(images: Images) -> Masks:
    """Return (n, H, W) masks: the largest component in which the salience is above Otsu's threshold.

    Salience is the distance from the border's colours times the centre prior.
    """
    salience = border_distance(images) * _centre_prior(images.shape[1:3])
    return np.array([_largest_component(values > threshold_otsu(values)) for values in salience], bool).reshape(
        images.shape[:3]
    )


def border_distance(images: Images) -> NDArray[np.float64]:
    """Return (n, H, W) the Mahalanobis distance of each pixel from the colours of the image's frame."""
    pixels = images.astype(np.float64)
    frame = np.ones(images.shape[1:3], bool)
    frame[BORDER:-BORDER, BORDER:-BORDER] = False
    border = pixels[:, frame]
    mean = border.mean(axis=1)
    centred = border - mean[:, None]
    spread = np.einsum("npi,npj->nij", centred, centred) / border.shape[1] + COLOUR_NOISE**2 * np.eye(3)
    offset = pixels - mean[:, None, None]
    squared = np.einsum("nhwi,nij,nhwj->nhw", offset, np.linalg.inv(spread), offset)
    distance: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0))
    return distance


def _centre_prior(shape: tuple[int, ...]) -> NDArray[np.float64]:
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) / CENTRE_WIDTH for side in shape)
    return np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2))


def _largest_component(mask: Masks) -> Masks:
    components, count = ndimage.label(mask)
    if count == 0:
        return mask
    largest = np.bincount(components.ravel())[1:].argmax() + 1
    return np.asarray(ndimage.binary_fill_holes(components == largest), bool)


def walker_mask(image: Images) -> Masks:
    """Return (H, W) the object according to a random walker seeded in the centre and on the border."""
    height, width = image.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    seeds = np.full((height, width), 2)
    seeds[1:-1, 1:-1] = 0
    seeds[np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) < WALKER_SEED_RADIUS] = 1
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # a flat image cannot be solved well; its mask is refused by its area
        labels = random_walker(image, seeds, beta=WALKER_BETA, mode="bf", channel_axis=-1)
    return np.asarray(labels == 1)
