"""How each operation that is not elementwise is emitted, by name."""

from __future__ import annotations

from collections.abc import Mapping

from isoconv.codegen.form import conv
from isoconv.codegen.pull import Emission
from isoconv.codegen.reductions import REDUCTIONS
from isoconv.codegen.views import VIEWS
from isoconv.codegen.windows import WINDOWS

EMISSION: Mapping[str, Emission] = {**VIEWS, **REDUCTIONS, **WINDOWS, "conv": conv}
