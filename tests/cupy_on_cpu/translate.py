"""Translate a PTX kernel to C, one instruction at a time.

Registers become unsigned integers of their declared width that hold bits; each instruction reads them as the type that
it names and writes bits back. An instruction, modifier or operand that is not listed here raises
:class:`~cupy_on_cpu.ptx.UnsupportedPTXError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from .ptx import Instruction, Kernel, Label, UnsupportedPTXError, split_operands, width_of

__all__ = ["has_barrier", "translate"]

_FLOATS = {"f32": "float", "f64": "double", "f16": "_Float16", "bf16": "float"}
_SPECIAL = {
    f"%{name}.{axis}": f"{place}[{index}]"
    for name, place in (
        ("tid", "thread->tid"),
        ("ctaid", "thread->ctaid"),
        ("ntid", "launch->ntid"),
        ("nctaid", "launch->nctaid"),
    )
    for index, axis in enumerate("xyz")
}
_WIDER = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64", "s64": "__int128", "u64": "unsigned __int128"}
_ORDERED = {"eq": "==", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
_NEGATED = {"equ": "!=", "ltu": ">=", "leu": ">", "gtu": "<=", "geu": "<"}
_BOOLEAN = {"and": "&", "or": "|", "xor": "^"}


def has_barrier(kernel: Kernel) -> bool:
    """Whether threads of a block wait for each other, so that they must run as fibres."""
    return any(instruction.opcode in ("bar", "barrier") for instruction in kernel.instructions())


def translate(kernel: Kernel) -> str:
    """The C function ``body_NAME`` that runs one thread of ``kernel``."""
    return _Translator(kernel).function()


def c_type(kind: str) -> str:
    """The C type of values of PTX type ``kind``."""
    if kind in _FLOATS:
        return _FLOATS[kind]
    if kind == "pred":
        return "uint8_t"
    return f"{'int' if kind[0] == 's' else 'uint'}{width_of(kind)}_t"


def _register_name(register: str) -> str:
    return "r_" + re.sub(r"\W", "_", register)


def _only(instruction: Instruction, allowed: Collection[str]) -> None:
    strangers = [modifier for modifier in instruction.modifiers[:-1] if modifier not in allowed]
    if strangers:
        raise UnsupportedPTXError(f"modifier {strangers} of {instruction.text!r}")


_Handler = Callable[["_Translator", Instruction], str]
_HANDLERS: dict[str, _Handler] = {}


def _handles(*opcodes: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _HANDLERS.update(dict.fromkeys(opcodes, handler))
        return handler

    return register


class _Translator:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.parameters = {parameter.name: index for index, parameter in enumerate(kernel.parameters)}
        self.shared = {array.name: array.offset for array in kernel.shared}
        self.shared.update(dict.fromkeys(kernel.dynamic_shared, -(-kernel.shared_size // 16) * 16))

    def function(self) -> str:
        registers = "".join(
            f"    uint{max(8, width_of(kind))}_t {_register_name(name)} = 0;\n"
            for name, kind in self.kernel.registers.items()
        )
        lines = "".join(f"    {self._line(item)}\n" for item in self.kernel.body)
        return (
            f"static void body_{self.kernel.name}(const Launch *launch, const Thread *thread) {{\n"
            f"{registers}{lines}    return;\n}}\n"
        )

    def _line(self, item: Instruction | Label) -> str:
        if isinstance(item, Label):
            return f"{_register_name(item.name)}:;"
        handler = _HANDLERS.get(item.opcode)
        if handler is None:
            raise UnsupportedPTXError(f"instruction {item.text!r}")
        statement = handler(self, item)
        if not item.guard:
            return f"{{ {statement} }}"
        negated = "!" if item.guard.startswith("!") else ""
        return f"if ({negated}{self.read(item.guard.lstrip('!'), 'pred')}) {{ {statement} }}"

    def read(self, operand: str, kind: str) -> str:
        """A C expression for ``operand`` as a value of PTX type ``kind``."""
        bits = self._bits(operand, max(8, width_of(kind)))
        if kind in _FLOATS:
            return f"as_{kind}({bits})"
        return f"({c_type(kind)})({bits})"

    def _bits(self, operand: str, width: int) -> str:
        if operand in self.kernel.registers:
            return _register_name(operand)
        if operand in _SPECIAL:
            return _SPECIAL[operand]
        if operand in self.shared:
            return f"{self.shared[operand]}u"
        if operand in self.parameters:
            return f"(uint64_t)launch->params[{self.parameters[operand]}]"
        if match := re.fullmatch(r"0([fFdD])([0-9a-fA-F]+)", operand):
            return f"0x{match[2]}ull"
        if match := re.fullmatch(r"(-?(?:0x[0-9a-fA-F]+|\d+))U?", operand):
            return f"(uint{width}_t)({match[1]}{'u' if match[1].startswith('0x') else ''}ll)"
        raise UnsupportedPTXError(f"operand {operand!r}")

    def write(self, register: str, kind: str, value: str) -> str:
        """Assign the C expression ``value`` of PTX type ``kind``; signed values extend into a wider register."""
        if register == "_":
            return ""
        if register not in self.kernel.registers:
            raise UnsupportedPTXError(f"destination {register!r}")
        if kind == "pred":
            return f"{_register_name(register)} = ({value}) & 1;"
        if kind in _FLOATS:
            return f"{_register_name(register)} = bits_{kind}({value});"
        return f"{_register_name(register)} = ({c_type(kind)})({value});"

    def memory(self, instruction: Instruction, operand: str, kind: str, size: int) -> str:
        """A C pointer to ``size`` bytes that ``operand`` names, checked where it is memory of the device."""
        match = re.fullmatch(r"\[\s*([%\w$.]+)\s*(?:\+\s*(-?\d+))?\s*\]", operand)
        if not match:
            raise UnsupportedPTXError(f"address {operand!r}")
        base, offset = match[1], int(match[2] or 0)
        if "param" in instruction.modifiers:
            return f"(launch->params[{self.parameters[base]}] + {offset})"
        if "shared" in instruction.modifiers:
            return f"shared_memory(launch, (uint32_t)({self._bits(base, 32)} + {offset}), {size})"
        return f"global_memory({self._bits(base, 64)} + {offset}ll, {size})"


@_handles("ret", "exit")
def _return(_: _Translator, instruction: Instruction) -> str:
    return "return;"


@_handles("bra")
def _branch(_: _Translator, instruction: Instruction) -> str:
    return f"goto {_register_name(instruction.operands[0])};"


@_handles("trap")
def _trap(_: _Translator, instruction: Instruction) -> str:
    return "fault(FAULT_TRAP, 0);"


@_handles("bar", "barrier")
def _barrier(_: _Translator, instruction: Instruction) -> str:
    if instruction.modifiers[0] != "sync" or instruction.operands != ("0",):
        raise UnsupportedPTXError(f"barrier {instruction.text!r}")
    return "barrier();"


@_handles("ld", "st")
def _load_store(self: _Translator, instruction: Instruction) -> str:
    _only(instruction, ("global", "param", "shared", "nc", "v2", "v4"))
    registers, address = instruction.operands if instruction.opcode == "ld" else instruction.operands[::-1]
    names = split_operands(registers.strip("{}"))
    kind, element = instruction.type, width_of(instruction.type) // 8
    pointer = self.memory(instruction, address, kind, element * len(names))
    lines = [f"char *at = {pointer}; {c_type(kind)} value;"]
    for index, name in enumerate(names):
        place = f"at + {index * element}"
        if instruction.opcode == "st":
            lines.append(f"value = {self.read(name, kind)}; memcpy({place}, &value, {element});")
        else:
            lines.append(f"memcpy(&value, {place}, {element}); {self.write(name, kind, 'value')}")
    return " ".join(lines)


@_handles("mov")
def _move(self: _Translator, instruction: Instruction) -> str:
    target, source = instruction.operands
    width = width_of(instruction.type)
    if target.startswith("{"):
        parts = split_operands(target.strip("{}"))
        each = width // len(parts)
        return "".join(
            self.write(part, f"b{each}", f"{self.read(source, f'b{width}')} >> {each * index}")
            for index, part in enumerate(parts)
        )
    if source.startswith("{"):
        parts = split_operands(source.strip("{}"))
        each = width // len(parts)
        joined = " | ".join(
            f"(uint64_t){self.read(part, f'b{each}')} << {each * index}" for index, part in enumerate(parts)
        )
        return self.write(target, f"b{width}", joined)
    kind = "pred" if instruction.type == "pred" else f"b{width}"
    return self.write(target, kind, self.read(source, kind))


@_handles("cvta")
def _convert_address(self: _Translator, instruction: Instruction) -> str:
    if "global" not in instruction.modifiers:
        raise UnsupportedPTXError(f"address space of {instruction.text!r}")
    return self.write(instruction.operands[0], "u64", self.read(instruction.operands[1], "u64"))


def _arithmetic_operands(self: _Translator, instruction: Instruction) -> list[str]:
    values = [self.read(operand, instruction.type) for operand in instruction.operands[1:]]
    return [f"flushed({value})" for value in values] if "ftz" in instruction.modifiers else values


def _arithmetic_result(self: _Translator, instruction: Instruction, value: str) -> str:
    if instruction.type == "f32":
        value = f"canonical({value})"
    value = f"flushed({value})" if "ftz" in instruction.modifiers else value
    return self.write(instruction.operands[0], instruction.type, value)


@_handles("add", "sub", "mul", "mad")
def _add_multiply(self: _Translator, instruction: Instruction) -> str:
    if instruction.type not in _FLOATS:
        return _integer_arithmetic(self, instruction)
    _only(instruction, ("rn", "ftz"))
    if instruction.type == "bf16" or instruction.opcode == "mad":
        raise UnsupportedPTXError(f"instruction {instruction.text!r}")
    a, b = _arithmetic_operands(self, instruction)
    symbol = {"add": "+", "sub": "-", "mul": "*"}[instruction.opcode]
    return _arithmetic_result(self, instruction, f"({c_type(instruction.type)})({a} {symbol} {b})")


def _integer_arithmetic(self: _Translator, instruction: Instruction) -> str:
    _only(instruction, ("lo", "hi", "wide"))
    kind, opcode = instruction.type, instruction.opcode
    if opcode in ("add", "sub"):
        a, b = (self.read(operand, kind) for operand in instruction.operands[1:])
        return self.write(instruction.operands[0], kind, f"{a} {'+' if opcode == 'add' else '-'} {b}")
    wide = _WIDER[kind]
    wide_type = wide if "int128" in wide else c_type(wide)
    a, b = (self.read(operand, kind) for operand in instruction.operands[1:3])
    product = f"({wide_type}){a} * ({wide_type}){b}"
    if "hi" in instruction.modifiers:
        product = f"({product}) >> {width_of(kind)}"
    result = wide if "wide" in instruction.modifiers else kind
    if opcode == "mad":
        product = f"({c_type(result)})({product}) + {self.read(instruction.operands[3], result)}"
    return self.write(instruction.operands[0], result, product)


@_handles("fma")
def _fused(self: _Translator, instruction: Instruction) -> str:
    _only(instruction, ("rn", "ftz"))
    if instruction.type not in ("f32", "f64"):
        raise UnsupportedPTXError(f"instruction {instruction.text!r}")
    function = "fmaf" if instruction.type == "f32" else "fma"
    return _arithmetic_result(self, instruction, f"{function}({', '.join(_arithmetic_operands(self, instruction))})")


@_handles("div", "rem")
def _divide(self: _Translator, instruction: Instruction) -> str:
    if instruction.type not in _FLOATS:
        a, b = (self.read(operand, instruction.type) for operand in instruction.operands[1:])
        symbol = "/" if instruction.opcode == "div" else "%"
        return self.write(instruction.operands[0], instruction.type, f"{a} {symbol} {b}")
    a, b = _correctly_rounded(self, instruction)
    return _arithmetic_result(self, instruction, f"{a} / {b}")


@_handles("sqrt")
def _square_root(self: _Translator, instruction: Instruction) -> str:
    (a,) = _correctly_rounded(self, instruction)
    return _arithmetic_result(self, instruction, f"{'sqrtf' if instruction.type == 'f32' else 'sqrt'}({a})")


@_handles("rcp")
def _reciprocal(self: _Translator, instruction: Instruction) -> str:
    (a,) = _correctly_rounded(self, instruction)
    return _arithmetic_result(self, instruction, f"1 / {a}")


def _correctly_rounded(self: _Translator, instruction: Instruction) -> list[str]:
    _only(instruction, ("rn", "ftz"))
    if "rn" not in instruction.modifiers or instruction.type not in ("f32", "f64"):
        raise UnsupportedPTXError(f"no rounding is promised by {instruction.text!r}")
    return _arithmetic_operands(self, instruction)


@_handles("neg", "abs")
def _sign_bit(self: _Translator, instruction: Instruction) -> str:
    _only(instruction, ("ftz",))
    kind = instruction.type
    if kind not in _FLOATS:
        value = self.read(instruction.operands[1], kind)
        negated = f"({c_type(kind)})-{value}"
        result = negated if instruction.opcode == "neg" else f"{value} < 0 ? {negated} : {value}"
        return self.write(instruction.operands[0], kind, result)
    if "ftz" in instruction.modifiers:
        (value,) = _arithmetic_operands(self, instruction)
        return self.write(instruction.operands[0], kind, f"{'-' if instruction.opcode == 'neg' else 'fabsf'}({value})")
    width = width_of(kind)
    bits = self.read(instruction.operands[1], f"b{width}")
    top = f"(uint{width}_t)(1ull << {width - 1})"
    change = f"{bits} ^ {top}" if instruction.opcode == "neg" else f"{bits} & (uint{width}_t)~{top}"
    return self.write(instruction.operands[0], f"b{width}", change)


@_handles("copysign")
def _copy_sign(self: _Translator, instruction: Instruction) -> str:
    sign, magnitude = _arithmetic_operands(self, instruction)
    return _arithmetic_result(self, instruction, f"copysign({magnitude}, {sign})")


@_handles("min", "max")
def _extreme(self: _Translator, instruction: Instruction) -> str:
    _only(instruction, ("ftz",))
    a, b = _arithmetic_operands(self, instruction)
    if instruction.type in _FLOATS:
        function = f"f{instruction.opcode}{'f' if instruction.type == 'f32' else ''}"
        return _arithmetic_result(self, instruction, f"{function}({a}, {b})")
    symbol = "<" if instruction.opcode == "min" else ">"
    return self.write(instruction.operands[0], instruction.type, f"{a} {symbol} {b} ? {a} : {b}")


@_handles("setp")
def _compare(self: _Translator, instruction: Instruction) -> str:
    relation = instruction.modifiers[0]
    _only(instruction, (relation, "ftz", *_BOOLEAN))
    target, *operands = instruction.operands
    values = [self.read(operand, instruction.type) for operand in operands[:2]]
    if "ftz" in instruction.modifiers:
        values = [f"flushed({value})" for value in values]
    result = _relation(relation, *values, floating=instruction.type in _FLOATS)
    if len(operands) == 3:
        third = operands[2]
        other = f"{'!' if third.startswith('!') else ''}{self.read(third.lstrip('!'), 'pred')}"
        boolean = next(_BOOLEAN[modifier] for modifier in instruction.modifiers if modifier in _BOOLEAN)
        result = f"({result}) {boolean} {other}"
    return self.write(target, "pred", result)


def _relation(relation: str, a: str, b: str, *, floating: bool) -> str:
    unordered = f"({a} != {a} || {b} != {b})"
    if relation in _ORDERED:
        return f"{a} {_ORDERED[relation]} {b}"
    if relation == "ne":
        return f"{a} != {b} && !{unordered}" if floating else f"{a} != {b}"
    if relation == "neu":
        return f"{a} != {b}"
    if relation in _NEGATED:
        return f"{unordered} || !({a} {_NEGATED[relation]} {b})"
    if relation in ("num", "nan"):
        return unordered if relation == "nan" else f"!{unordered}"
    raise UnsupportedPTXError(f"comparison {relation!r}")


@_handles("selp")
def _select(self: _Translator, instruction: Instruction) -> str:
    target, a, b, predicate = instruction.operands
    kind = f"b{width_of(instruction.type)}"
    choice = f"{self.read(predicate, 'pred')} ? {self.read(a, kind)} : {self.read(b, kind)}"
    return self.write(target, kind, choice)


@_handles("and", "or", "xor", "not")
def _bitwise(self: _Translator, instruction: Instruction) -> str:
    values = [self.read(operand, instruction.type) for operand in instruction.operands[1:]]
    if instruction.opcode == "not":
        result = f"{'!' if instruction.type == 'pred' else '~'}{values[0]}"
    else:
        result = f" {_BOOLEAN[instruction.opcode]} ".join(values)
    return self.write(instruction.operands[0], instruction.type, result)


@_handles("shl", "shr")
def _shift(self: _Translator, instruction: Instruction) -> str:
    width = width_of(instruction.type)
    value, amount = self.read(instruction.operands[1], instruction.type), self.read(instruction.operands[2], "u32")
    beyond = f"{value} < 0 ? -1 : 0" if instruction.type[0] == "s" else "0"
    symbol = "<<" if instruction.opcode == "shl" else ">>"
    return self.write(
        instruction.operands[0],
        instruction.type,
        f"{amount} >= {width} ? ({beyond}) : ({c_type(instruction.type)})({value} {symbol} {amount})",
    )


@_handles("popc", "clz")
def _count_bits(self: _Translator, instruction: Instruction) -> str:
    width, value = width_of(instruction.type), self.read(instruction.operands[1], instruction.type)
    if instruction.opcode == "popc":
        return self.write(instruction.operands[0], "u32", f"__builtin_popcountll({value})")
    return self.write(instruction.operands[0], "u32", f"{value} ? __builtin_clzll({value}) - {64 - width} : {width}")


@_handles("prmt")
def _permute_bytes(self: _Translator, instruction: Instruction) -> str:
    if instruction.modifiers != ("b32",):
        raise UnsupportedPTXError(f"mode of {instruction.text!r}")
    values = ", ".join(self.read(operand, "b32") for operand in instruction.operands[1:])
    return self.write(instruction.operands[0], "b32", f"permuted_bytes({values})")


@_handles("cvt")
def _convert(self: _Translator, instruction: Instruction) -> str:
    _only(instruction, ("rn", "rzi", "rni", "rmi", "rpi", "ftz", instruction.modifiers[-2]))
    to, source = instruction.modifiers[-2:]
    rounding = next((part for part in instruction.modifiers[:-2] if part.startswith("r")), "")
    value = self.read(instruction.operands[1], source)
    if "ftz" in instruction.modifiers and source == "f32":
        value = f"flushed({value})"
    if source in _FLOATS and to in _FLOATS:
        value = _round_float(value, rounding, same=to == source)
    elif source in _FLOATS:
        return self.write(instruction.operands[0], to, _float_to_integer(value, rounding, to))
    elif to == "bf16" or (to == "f16" and width_of(source) == 64):
        raise UnsupportedPTXError(f"conversion {instruction.text!r}")
    if "ftz" in instruction.modifiers and to == "f32":
        value = f"flushed({value})"
    return self.write(instruction.operands[0], to, f"({c_type(to)})({value})")


def _round_float(value: str, rounding: str, *, same: bool) -> str:
    functions = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
    if rounding in functions:
        if not same:
            raise UnsupportedPTXError(f"rounding {rounding} into another float type")
        return f"{functions[rounding]}({value})"
    return value


def _float_to_integer(value: str, rounding: str, to: str) -> str:
    """Rounded, clamped to the range of ``to``; NaN gives 0, as it does up to 32 bits."""
    function = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}.get(rounding)
    width = width_of(to)
    if function is None or width > 32:
        raise UnsupportedPTXError(f"conversion from a float to {to} with rounding {rounding!r}")
    low, high = (-(2.0 ** (width - 1)), 2.0 ** (width - 1) - 1) if to[0] == "s" else (0.0, 2.0**width - 1)
    rounded = f"{function}((double){value})"
    return f"{value} != {value} ? 0 : fmin(fmax({rounded}, {low!r}), {high!r})"
