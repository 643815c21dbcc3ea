import numpy as np
import numpy.typing as npt

def read_page(
    page: memoryview,
    template: tuple[bytes | None, ...],
    numbers: npt.NDArray[np.float64],
    sentinels: npt.NDArray[np.bool_],
) -> int: ...
