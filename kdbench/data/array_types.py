"""Types that the modules of data and test sets share. Docstrings state the shapes of arrays."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Integers = NDArray[np.int64]
AnyArray = NDArray[Any]
Split = Literal["train", "test"]
