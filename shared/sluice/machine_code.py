"""Writes small numeric functions in LLVM's intermediate language and compiles them for the processor that they run on."""

import mmap
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import binding, ir

FLOAT, INT8, INT16, INT32, INT64 = ir.FloatType(), ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()
_X86 = frozenset({"x86_64", "AMD64"})
_NEEDED = ("avx2", "fma")
# the last is not needed: processors without it (Skylake) run slower for a while after each use of wide registers
_NEEDED_FOR_WIDE = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
_NARROW, _WIDE = 8, 16
_ALIGNED = {FLOAT: 4, INT64: 8, INT32: 4, INT16: 2, INT8: 1, POINTER: 8}
_ANY_ORDER = ("fast",)  # sums may be taken in any order; nothing here is infinite or no number


class Processor(NamedTuple):
    """What is known of a processor: its architecture, and which of its features it has."""

    machine: str
    features: Mapping[str, bool]

    @classmethod
    def here(cls) -> "Processor":
        """Return that of this machine."""
        return cls(platform.machine(), binding.get_host_cpu_features())

    def lanes(self) -> int:
        """Return how many numbers of 32 bits one register holds: sixteen with AVX-512 and VNNI, eight with AVX2."""
        return _WIDE if all(self.features.get(name) for name in _NEEDED_FOR_WIDE) else _NARROW


def can_compile(processor: Processor) -> bool:
    """Tell whether this processor can run what is compiled (it needs AVX2 and FMA), and the system lets a process make code."""
    if processor.machine not in _X86 or not all(processor.features.get(name) for name in _NEEDED):
        return False
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


class Compiled(NamedTuple):
    """Machine code; `engine` owns it and must live as long as anybody calls into it."""

    engine: Any

    def address(self, name: str) -> int:
        """Return where a function begins."""
        found: int = self.engine.get_function_address(name)
        return found


def compiled(text: str) -> Compiled:
    """Compile a module for this processor; it takes about half a second."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    # what is written for sixteen lanes is not to be halved, as LLVM does for some processors
    features = f"{binding.get_host_cpu_features().flatten()},-prefer-256-bit"
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3
    )
    module = binding.parse_assembly(text)
    module.verify()
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return Compiled(engine)


class Loop(NamedTuple):
    """A loop's body: the index, the values carried into this round, and those for the next, to be put in by the body."""

    at: Any
    carried: Sequence[Any]
    following: list[Any]


class CodeWriter:
    """Writes functions without a result into one module; inside `function`, the other methods write what it does.

    Counts and indices are integers of 64 bits, floats have 32. Vectors hold `lanes` floats or integers: eight for AVX2, sixteen for AVX-512.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.floats_kind, self.ints_kind = ir.VectorType(FLOAT, lanes), ir.VectorType(INT32, lanes)
        self.shorts_kind, self.bytes_kind = ir.VectorType(INT16, 2 * lanes), ir.VectorType(INT8, 2 * lanes)
        self.half_shorts_kind = ir.VectorType(INT16, lanes)
        self._pairs = "llvm.x86.avx512.pmaddw.d.512" if lanes == _WIDE else "llvm.x86.avx2.pmadd.wd"
        self.module = ir.Module()
        self.module.triple = binding.get_default_triple()
        self._functions: dict[str, Any] = {}
        self.build: Any = None

    @contextmanager
    def function(self, name: str, *kinds: Any, public: bool = False) -> Iterator[Sequence[Any]]:
        """Write a function with parameters of these kinds; no two of its pointers lead to the same memory. A public one has an address."""
        made = ir.Function(self.module, ir.FunctionType(ir.VoidType(), kinds), name)
        made.linkage = "external" if public else "internal"
        for one in made.args:
            if one.type == POINTER:
                one.add_attribute("noalias")
        self._functions[name] = made
        self.build = ir.IRBuilder(made.append_basic_block())
        yield made.args
        self.build.ret_void()

    def call(self, name: str, *given: Any) -> None:
        """Call a function that was written before."""
        self.build.call(self._functions[name], [self.count(one) for one in given])

    @contextmanager
    def loop(self, stop: Any, step: int = 1, carry: Sequence[Any] = ()) -> Iterator[Loop]:
        """Write what is done for each index from 0 up to `stop`; after it, `carried` holds the values of the last round."""
        build, before = self.build, self.build.block
        head, body, after = (build.function.append_basic_block() for _ in range(3))
        build.branch(head)
        build.position_at_end(head)
        at = build.phi(INT64)
        carried = [build.phi(one.type) for one in carry]
        build.cbranch(build.icmp_signed("<", at, self.count(stop)), body, after)
        build.position_at_end(body)
        made = Loop(at, carried, list(carried))
        yield made
        following = [self.add(at, step), *made.following]
        end = build.block
        build.branch(head)
        for phi, first, then in zip([at, *carried], [self.count(0), *carry], following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, end)
        build.position_at_end(after)

    def count(self, value: Any) -> Any:
        """Return a count as the code knows it."""
        return ir.Constant(INT64, value) if isinstance(value, int) else value

    def no_integers(self) -> Any:
        """Return a vector of integers of 32 bits, all 0."""
        return ir.Constant(self.ints_kind, [0] * self.lanes)

    def number(self, value: float) -> Any:
        """Return a float as the code knows it."""
        return ir.Constant(FLOAT, value)

    def add(self, one: Any, other: Any) -> Any:
        """Return the sum of two counts."""
        return self.build.add(self.count(one), self.count(other))

    def mul(self, one: Any, other: Any) -> Any:
        """Return the product of two counts."""
        return self.build.mul(self.count(one), self.count(other))

    def at(self, base: Any, kind: Any, index: Any) -> Any:
        """Return the address of an item of this kind."""
        return self.build.gep(base, [self.count(index)], source_etype=kind)

    def load(self, base: Any, kind: Any, index: Any, whole: Any = None) -> Any:
        """Return an item, or the vector of kind `whole` that begins with it."""
        found = self.build.load(self.at(base, kind, index), typ=whole or kind)
        found.align = _ALIGNED[kind]
        return found

    def floats(self, base: Any, index: Any) -> Any:
        """Return `lanes` floats."""
        return self.load(base, FLOAT, index, self.floats_kind)

    def store(self, value: Any, base: Any, kind: Any, index: Any) -> None:
        """Put an item, or a vector that begins with it, into its place."""
        self.build.store(value, self.at(base, kind, index)).align = _ALIGNED[kind]

    def spread(self, value: Any) -> Any:
        """Return a vector of one value."""
        if isinstance(value, float):
            return ir.Constant(self.floats_kind, [value] * self.lanes)
        kind = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.build.insert_element(nothing, value, ir.Constant(INT32, 0))
        return self.build.shuffle_vector(first, nothing, ir.Constant(self.ints_kind, [0] * self.lanes))

    def times(self, one: Any, other: Any) -> Any:
        """Return the product of floats or vectors of them."""
        return self.build.fmul(one, other, flags=_ANY_ORDER)

    def plus(self, one: Any, other: Any) -> Any:
        """Return the sum of floats or vectors of them."""
        return self.build.fadd(one, other, flags=_ANY_ORDER)

    def minus(self, one: Any, other: Any) -> Any:
        """Return the difference of floats or vectors of them."""
        return self.build.fsub(one, other, flags=_ANY_ORDER)

    def fused(self, one: Any, other: Any, more: Any) -> Any:
        """Return `one * other + more` of vectors."""
        return self._of(f"llvm.fma.v{self.lanes}f32", self.floats_kind, one, other, more)

    def greater(self, one: Any, other: Any) -> Any:
        """Return the greater of each pair."""
        return self._of(f"llvm.maxnum.v{self.lanes}f32", self.floats_kind, one, other)

    def size(self, one: Any) -> Any:
        """Return a vector without its signs."""
        return self._of(f"llvm.fabs.v{self.lanes}f32", self.floats_kind, one)

    def rounded(self, one: Any) -> Any:
        """Return the nearest whole numbers, as floats."""
        return self._of(f"llvm.rint.v{self.lanes}f32", self.floats_kind, one)

    def total(self, one: Any) -> Any:
        """Return the sum of a vector."""
        return self._of(f"llvm.vector.reduce.fadd.v{self.lanes}f32", FLOAT, self.number(0.0), one)

    def whole_total(self, one: Any) -> Any:
        """Return the sum of a vector of integers of 32 bits."""
        return self._of(f"llvm.vector.reduce.add.v{self.lanes}i32", INT32, one)

    def greatest(self, one: Any) -> Any:
        """Return the greatest of a vector."""
        return self._of(f"llvm.vector.reduce.fmax.v{self.lanes}f32", FLOAT, one)

    def root(self, one: Any) -> Any:
        """Return the square root of a float."""
        return self._of("llvm.sqrt.f32", FLOAT, one)

    def pairs(self, one: Any, other: Any) -> Any:
        """Return, of two vectors of twice as many shorts, the sums of products of neighbours (`vpmaddwd`; with the sum after it `vpdpwssd` where there is one)."""
        return self._of(self._pairs, self.ints_kind, one, other)

    def powers(self, exponents: Any) -> Any:
        """Return e to the power of a vector, at least of -87: a power of two times a polynomial (Cephes, `expf`; to 2e-7)."""
        exponents = self.greater(exponents, self.spread(-87.0))
        whole = self.rounded(self.times(exponents, self.spread(1.44269504088896341)))
        rest = self.fused(whole, self.spread(-0.693359375), exponents)
        rest = self.fused(whole, self.spread(2.12194440e-4), rest)
        found = self.spread(1.9875691500e-4)
        for part in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
            found = self.fused(found, rest, self.spread(part))
        found = self.fused(self.times(found, rest), rest, self.plus(rest, self.spread(1.0)))
        shift, bias = (ir.Constant(self.ints_kind, [value] * self.lanes) for value in (23, 127))
        scale = self.build.shl(self.build.add(self.build.fptosi(whole, self.ints_kind), bias), shift)
        return self.times(found, self.build.bitcast(scale, self.floats_kind))

    def _of(self, name: str, result: Any, *given: Any) -> Any:
        if name not in self._functions:
            kind = ir.FunctionType(result, [one.type for one in given])
            self._functions[name] = ir.Function(self.module, kind, name)
        flags = _ANY_ORDER if ".reduce.f" in name or "num." in name else ()
        return self.build.call(self._functions[name], given, fastmath=flags)
