"""What the compilers made of the kernels: PTX as text, machine code through NVIDIA's disassembler."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .ptx import Instruction, parse

__all__ = ["Function", "contractible", "disassemble", "unfit_modifiers", "why_no_disassembler"]


def contractible(ptx: bytes) -> list[str]:
    """Additions, subtractions and multiplications of floats whose rounding PTX leaves open, and fused ones."""
    found = [item for item in _floating(ptx) if item.opcode in ("add", "sub", "mul") and "rn" not in item.modifiers]
    found += [item for item in _floating(ptx) if item.opcode in ("fma", "mad")]
    return [item.text for item in found]


def unfit_modifiers(ptx: bytes) -> list[str]:
    """Instructions that flush subnormals to zero or approximate."""
    return [item.text for item in _floating(ptx) if {"ftz", "approx", "full"} & set(item.modifiers)]


def _floating(ptx: bytes) -> list[Instruction]:
    kernels = parse(ptx.rstrip(b"\0").decode())
    return [item for kernel in kernels for item in kernel.instructions() if item.type in ("f16", "bf16", "f32", "f64")]


@dataclass(frozen=True)
class Function:
    """One kernel in machine code.

    Attributes
    ----------
    name : str
    registers, stack : int
        Registers per thread, and bytes of stack per thread.
    opcodes : Counter
        How often each opcode stands in the code, such as ``"LDG.E.128"``.
    """

    name: str
    registers: int
    stack: int
    opcodes: Counter[str]

    def count(self, *patterns: str) -> int:
        """How many instructions match one of the regular expressions."""
        return sum(n for opcode, n in self.opcodes.items() if any(re.fullmatch(each, opcode) for each in patterns))

    @property
    def wide_loads(self) -> int:
        """128-bit loads from global memory."""
        return self.count(r"LDG\..*128.*")

    @property
    def wide_stores(self) -> int:
        """128-bit stores to global memory."""
        return self.count(r"STG\..*128.*")

    @property
    def spills(self) -> int:
        """Loads and stores of local memory."""
        return self.count(r"LDL.*", r"STL.*")

    @property
    def fused(self) -> int:
        """Fused multiply-adds in float32."""
        return self.count(r"FFMA.*")

    @property
    def divides(self) -> bool:
        """Whether it has a float64 division, whose expansion looks at exponents with one FFMA."""
        return self.count(r"MUFU.RCP64H") > 0


def why_no_disassembler() -> str | None:
    """Why machine code cannot be read here, or None where it can."""
    missing = [name for name in ("cuobjdump", "nvdisasm") if not _tool(name)]
    return f"no {' and no '.join(missing)}; pip install 'signopt[cuda-test]'" if missing else None


def disassemble(cubin: bytes) -> list[Function]:
    """The kernels of a cubin."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernels.cubin")
        path.write_bytes(cubin + b"\0" * (-len(cubin) % 8))
        usage = _run("cuobjdump", "-res-usage", path)
        code = _run("nvdisasm", "-c", path)
    found = re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+)", usage)
    sections = dict(re.findall(r"\.section\s+\.text\.(\w+),.*?\n(.*?)(?=\n\s*\.section|\Z)", code, flags=re.S))
    return [
        Function(name, int(registers), int(stack), Counter(_opcodes(sections[name])))
        for name, registers, stack in found
    ]


def _opcodes(code: str) -> list[str]:
    return re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", code)


def _run(tool: str, *arguments: object) -> str:
    path = _tool(tool)
    if path is None:
        raise FileNotFoundError(tool)
    environment = {**os.environ, "PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(path), *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _tool(name: str) -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).glob(f"*/bin/{name}"):
            return path
    return None
