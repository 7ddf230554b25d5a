"""The function that runs a whole program: sizes, checks, places in the arena, then the kernels.

`i64 run(ptr frame)` takes one array of 8-byte words (see `Words`). It gives 0, the number (from 1)
of a check or, after the checks, of a guard that failed, or minus the bytes that the arena must
have, in which case nothing was done.
"""

from __future__ import annotations

from dataclasses import dataclass

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.flags import flush_denormals, restore
from isoconv.codegen.generate import tasks
from isoconv.codegen.index import Sizes
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim
from isoconv.plan.cost import GRAIN, work
from isoconv.plan.kernel import Step
from isoconv.plan.machine import Machine
from isoconv.plan.memory import Slot
from isoconv.plan.program import Program

SYMBOL = "run"
# A tensor is given as the address of its NumPy array object, whose first field after CPython's
# header is the pointer to its data (PyArrayObject in NumPy's C API).
DATA = object.__basicsize__
# The first words of a frame: the pool's control block, its `parallel`, how many threads may take
# part, the arena's capacity in bytes, the arena.
CONTROL, PARALLEL, LIMIT, CAPACITY, ARENA = range(5)
# Then what the driver does not look at: whether a call is using the frame, the number of the call
# whose words stand in it (or 0), and the next frame of the same program (or 0).
BUSY, OWNER, NEXT, FIRST = range(5, 9)


@dataclass(frozen=True)
class Words:
    """Where the words of a frame stand: kernels, then sizes, then (as objects) the tensors."""

    kernels: int
    sizes: int
    tensors: int
    total: int


def words(program: Program) -> Words:
    kernels = FIRST
    sizes = kernels + len(program.steps)
    tensors = sizes + len(program.sizes)
    outside = len(program.graph.inputs) + len(program.graph.outputs)
    return Words(kernels, sizes, tensors, tensors + outside)


def emit(program: Program, machine: Machine) -> str:
    """The LLVM module of a program's driver."""
    return _Driver(program, machine).text()


class _Driver:
    def __init__(self, program: Program, machine: Machine) -> None:
        self.program = program
        self.b = Builder(machine)
        self.frame = Value("%frame", "ptr")
        self.words = words(program)
        named = {
            name: self._word(self.words.sizes + i, "i64") for i, name in enumerate(program.sizes)
        }
        self.sizes = Sizes(self.b, named)
        # Sizes must dominate every use, and checks branch: all are computed at the start.
        self.control = self._word(CONTROL, "ptr")
        self.parallel = self._word(PARALLEL, "ptr")
        self.limit = self._word(LIMIT, "i64")
        self.arena = self._word(ARENA, "ptr")
        self.tensors = [
            self._data(number) for number in range(self.words.total - self.words.tensors)
        ]

    def _word(self, number: int, type_: str) -> Value:
        with self.b.at_entry():
            return self.b.load(self.b.at(self.frame, number, "i64"), type_, align=8)

    def _data(self, number: int) -> Value:
        """Where the elements of a tensor are."""
        array = self._word(self.words.tensors + number, "ptr")
        with self.b.at_entry():
            return self.b.load(self.b.at(array, DATA, "i8"), "ptr", align=8)

    def text(self) -> str:
        b, program = self.b, self.program
        for number, check in enumerate(program.checks, 1):
            predicate = "eq" if check.relation == "==" else "sge"
            holds = b.compare(predicate, self.sizes(check.left), self.sizes(check.right))
            self._leave_unless(holds, b.i64(number))
        slots = self._slots()
        most = max(
            (len(step.inputs) + len(step.outputs) + len(step.sizes) for step in program.steps),
            default=0,
        )
        with b.at_entry():
            args = b.emit("ptr", f"alloca [{most + 1} x i64], align 8")
            guarded = {step: n for n, step in enumerate(program.guards)}
            statuses = b.emit("ptr", f"alloca [{len(guarded) + 1} x i64], align 8")
            for place in guarded.values():
                b.store(b.i64(0), b.at(statuses, place, "i64"))
        saved = flush_denormals(b)
        for number, step in enumerate(program.steps):
            status = b.at(statuses, guarded.get(number, len(guarded)), "i64")
            self._run(number, step, slots, args, status)
        restore(b, saved)
        result = b.i64(0)
        for place in reversed(guarded.values()):
            failed = b.compare("ne", b.load(b.at(statuses, place, "i64"), "i64"), b.i64(0))
            result = b.select(failed, b.i64(len(program.checks) + 1 + place), result)
        b.lines.append(f"  ret {result}")
        return b.function(f"i64 @{SYMBOL}(ptr %frame)")

    def _leave_unless(self, condition: Value, code: Value) -> None:
        leave, go_on = self.b.new_label("leave"), self.b.new_label("go")
        self.b.branch_if(condition, go_on, leave)
        self.b.label(leave)
        self.b.lines.append(f"  ret {code}")
        self.b.label(go_on)

    def _slots(self) -> list[Value]:
        """The addresses of the arena's slots; leaves where the arena is too small."""
        offset: Dim = 0
        offsets = []
        for size in self.program.memory.slots:
            offsets.append(self.sizes(offset))
            offset = offset + size
        needed = self.sizes(offset)
        capacity = self._word(CAPACITY, "i64")
        missing = self.b.sub(self.b.i64(0), needed)
        self._leave_unless(self.b.compare("sge", capacity, needed), missing)
        return [self.b.at(self.arena, place, "i8") for place in offsets]

    def _address(self, node: Node, slots: list[Value]) -> Value:
        place = self.program.place(node)
        if isinstance(place, Slot):
            return slots[place.number]
        return self.tensors[place.number]

    def _run(self, number: int, step: Step, slots: list[Value], args: Value, status: Value) -> None:
        b = self.b
        given = [status]
        given += [self._address(node, slots) for node in (*step.inputs, *step.outputs)]
        given += [self.sizes(dim) for dim in step.sizes]
        for place, value in enumerate(given):
            b.store(value, b.at(args, place, "i64"), align=8)
        count = tasks(step.kernel, self.b.machine)
        total = work(step.kernel)
        tasks_here, work_here = self.sizes(step.at_home(count)), self.sizes(step.at_home(total))
        if tasks_here.text == "1":
            grain = b.i64(1)
        else:
            # Tasks of GRAIN work each: tasks * GRAIN / work, at least 1.
            each = b.emit(
                "i64",
                f"sdiv {b.mul(tasks_here, GRAIN)}, {b.maximum(work_here, 1).text}",
            )
            grain = b.maximum(each, 1)
        kernel = self._word(self.words.kernels + number, "ptr")
        arguments = ", ".join(map(str, (self.control, kernel, args, tasks_here, grain, self.limit)))
        b.lines.append(f"  call void {self.parallel.text}({arguments})")
