"""Which of equal elements stay in `topk` and `bottomk`: Prometheus's heap, step by step, where arithmetic cannot tell."""

import math

import numpy as np

from rules.arrays import Floats, Rows


def survivors(keys: Floats, ranks: Rows, wanted: int) -> Rows:
    """The places of the elements that stay: smaller keys are better, elements come in the order of their ranks."""
    heap: list[int] = []
    worth = (-keys).tolist()
    for place in np.argsort(ranks).tolist():
        if len(heap) < wanted:
            heap.append(place)
            _up(heap, worth)
        elif worth[heap[0]] < worth[place] or (math.isnan(worth[heap[0]]) and not math.isnan(worth[place])):
            heap[0] = place
            _down(heap, worth)
    return np.array(heap, dtype=np.int64)


def _less(left: float, right: float) -> bool:
    return math.isnan(left) or left < right


def _up(heap: list[int], worth: list[float]) -> None:
    child = len(heap) - 1
    while child:
        parent = (child - 1) // 2
        if not _less(worth[heap[child]], worth[heap[parent]]):
            return
        heap[parent], heap[child] = heap[child], heap[parent]
        child = parent


def _down(heap: list[int], worth: list[float]) -> None:
    parent, size = 0, len(heap)
    while (child := 2 * parent + 1) < size:
        if child + 1 < size and _less(worth[heap[child + 1]], worth[heap[child]]):
            child += 1
        if not _less(worth[heap[child]], worth[heap[parent]]):
            return
        heap[parent], heap[child] = heap[child], heap[parent]
        parent = child
