"""Read the PTX text that NVRTC emits: kernels, their parameters, registers and instructions.

Only the part of PTX that a kernel of one compilation unit needs. Device functions, local memory and anything else that
is not understood raise :class:`UnsupportedPTXError`, so that a kernel never runs with an instruction left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Instruction", "Kernel", "Label", "Parameter", "SharedArray", "UnsupportedPTXError", "parse", "width_of"]


class UnsupportedPTXError(Exception):
    """The text uses a part of PTX that this harness does not model."""


@dataclass(frozen=True)
class Parameter:
    """One kernel argument: its name and size in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class SharedArray:
    """A statically sized array in shared memory; ``offset`` is its place in the block's shared memory, in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Label:
    """A place that branches go to."""

    name: str


@dataclass(frozen=True)
class Instruction:
    """``@!guard opcode.modifier.type operands``; guards and operands name registers as they stand after scoping."""

    guard: str
    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[str, ...]
    text: str

    @property
    def type(self) -> str:
        """The last modifier: the type that most instructions work on."""
        return self.modifiers[-1] if self.modifiers else ""


@dataclass
class Kernel:
    """One ``.entry``."""

    name: str
    parameters: list[Parameter]
    registers: dict[str, str] = field(default_factory=dict)
    shared: list[SharedArray] = field(default_factory=list)
    dynamic_shared: tuple[str, ...] = ()
    body: list[Instruction | Label] = field(default_factory=list)

    @property
    def shared_size(self) -> int:
        """Bytes of statically allocated shared memory."""
        return max((array.offset + array.size for array in self.shared), default=0)

    def instructions(self) -> Iterator[Instruction]:
        """The instructions alone, without labels."""
        return (item for item in self.body if isinstance(item, Instruction))


_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)([^{]*)\{", re.S)
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+(?:\.ptr\s.*\s)?([\w$]+)(?:\[(\d+)\])?$")
_SHARED = re.compile(r"(\.extern\s+)?\.shared\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$]+)(?:\[(\d*)\])?$")
_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)$", re.S)
_INSTRUCTION = re.compile(r"(?:@(!?[%\w$]+)\s+)?([a-z]\w*)((?:[.:]+\w+)*)\s*(.*)$", re.S)
_IGNORED = (".loc", ".pragma", ".file", ".section", ".local_align")
_UNMODELLED = re.compile(r"\.func\b|\.local\b|\.const\b|\.tex\b")


def width_of(ptx_type: str) -> int:
    """The width in bits of a PTX type such as ``"f32"``; 1 for ``"pred"``."""
    if ptx_type == "pred":
        return 1
    digits = re.sub(r"\D", "", ptx_type.removeprefix("bf").removeprefix("f"))
    if not digits:
        raise UnsupportedPTXError(f"type {ptx_type!r}")
    return int(digits)


def parse(text: str) -> list[Kernel]:
    """All kernels of a PTX module.

    Raises
    ------
    UnsupportedPTXError
        For device functions, local or constant memory, and declarations that are not understood.
    """
    text = re.sub(r"/\*.*?\*/", "", re.sub(r"//[^\n]*", "", text), flags=re.S)
    if found := _UNMODELLED.search(text):
        raise UnsupportedPTXError(f"{found[0]} in the module")
    dynamic = tuple(re.findall(r"\.extern\s+\.shared\s[^;]*?([\w$]+)\[\]\s*;", text))
    kernels = []
    for entry in _ENTRY.finditer(text):
        kernel = Kernel(entry[1], [_parameter(item) for item in split_operands(entry[2])], dynamic_shared=dynamic)
        _read_body(kernel, text[entry.end() : _closing_brace(text, entry.end())])
        kernels.append(kernel)
    if not kernels:
        raise UnsupportedPTXError("the module has no .entry")
    return kernels


def split_operands(text: str) -> list[str]:
    """Split at the commas that are not inside braces, brackets or parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "{[(") - (char in "}])")
        if char == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for index in range(start, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    raise UnsupportedPTXError("a kernel without a closing brace")


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.match(" ".join(text.split()))
    if not match:
        raise UnsupportedPTXError(f"parameter {text!r}")
    return Parameter(match[2], width_of(match[1]) // 8 * int(match[3] or 1))


def _statements(body: str) -> Iterator[str]:
    """Statements, labels (``name:``) and the braces that open and close a register scope."""
    start = 0
    for index, char in enumerate(body):
        pending = body[start:index].strip()
        if char == ";":
            yield pending
        elif char in "{}" and not pending:
            yield char
        elif char == ":" and re.fullmatch(r"[\w$]+", pending):
            yield pending + ":"
        else:
            continue
        start = index + 1
    if body[start:].strip():
        raise UnsupportedPTXError(f"unfinished statement {body[start:].strip()!r}")


def _read_body(kernel: Kernel, body: str) -> None:
    scopes: list[dict[str, str]] = [{}]
    for statement in _statements(body):
        if statement == "{":
            scopes.append({})
        elif statement == "}":
            scopes.pop()
        elif statement.endswith(":"):
            kernel.body.append(Label(statement[:-1]))
        elif match := _REGISTERS.match(statement):
            _declare_registers(kernel, scopes, match[1], match[2])
        elif match := _SHARED.match(" ".join(statement.split())):
            _declare_shared(kernel, match)
        elif statement and not statement.startswith(_IGNORED):
            kernel.body.append(_instruction(statement, scopes))


def _declare_registers(kernel: Kernel, scopes: list[dict[str, str]], kind: str, names: str) -> None:
    for name in split_operands(names):
        if match := re.fullmatch(r"([%\w$]+)<(\d+)>", name):
            kernel.registers.update({f"{match[1]}{index}": kind for index in range(int(match[2]))})
        else:
            unique = f"{name}.{len(kernel.registers)}"
            scopes[-1][name] = unique
            kernel.registers[unique] = kind


def _declare_shared(kernel: Kernel, match: re.Match[str]) -> None:
    if match[1]:
        kernel.dynamic_shared += (match[4],)
        return
    align = int(match[2] or 1)
    offset = -(-kernel.shared_size // max(align, 16)) * max(align, 16)
    kernel.shared.append(SharedArray(match[4], offset, width_of(match[3]) // 8 * int(match[5] or 1)))


def _instruction(statement: str, scopes: list[dict[str, str]]) -> Instruction:
    match = _INSTRUCTION.match(statement)
    if not match:
        raise UnsupportedPTXError(f"statement {statement!r}")

    def resolve(name: re.Match[str]) -> str:
        return next((scope[name[0]] for scope in reversed(scopes) if name[0] in scope), name[0])

    guard, opcode, modifiers, operands = match.groups(default="")
    rename = re.compile(r"[%A-Za-z_$][\w$]*")
    return Instruction(
        guard=rename.sub(resolve, guard),
        opcode=opcode,
        modifiers=tuple(part for part in re.split(r"[.:]+", modifiers) if part),
        operands=tuple(rename.sub(resolve, operand) for operand in split_operands(operands)),
        text=" ".join(statement.split()),
    )
