"""In which order kernels run: the one that leaves the least in memory goes first.

So the gradient of a weight is computed, and used, as soon as it can be, and what it was computed
from is given free before the way back goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from isoconv.errors import InternalError
from isoconv.ir.graph import Node
from isoconv.plan.kernel import Step
from isoconv.plan.memory import owner, typical_bytes


def lightest(
    steps: Sequence[Step], before: Mapping[int, set[int]], elsewhere: set[Node]
) -> list[Step]:
    """The steps, each after those that `before` says, by their numbers.

    elsewhere: values that lie in tensors of the caller's, and take no memory of ours.
    """
    reads = [{owner(node) for node in step.inputs} - elsewhere for step in steps]
    left = Counter(node for nodes in reads for node in nodes)
    made = [sum(typical_bytes(n) for n in step.outputs if n not in elsewhere) for step in steps]
    after: dict[int, list[int]] = {number: [] for number in before}
    for number, earlier in before.items():
        for each in earlier:
            after[each].append(number)
    waiting = {number: len(earlier) for number, earlier in before.items()}
    ready = [number for number, count in waiting.items() if not count]
    order: list[Step] = []

    def grows_by(number: int) -> tuple[int, int]:
        freed = sum(typical_bytes(node) for node in reads[number] if left[node] == 1)
        return made[number] - freed, number

    while ready:
        number = min(ready, key=grows_by)
        ready.remove(number)
        order.append(steps[number])
        left.subtract(reads[number])
        for each in after[number]:
            waiting[each] -= 1
            if not waiting[each]:
                ready.append(each)
    if len(order) != len(steps):
        raise InternalError("the steps of a program need one another in a circle")
    return order
