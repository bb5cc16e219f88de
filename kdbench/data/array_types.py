"""Names of the arrays that pass between packages. Docstrings state their shapes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Integers = NDArray[np.int64]
AnyArray = NDArray[Any]
