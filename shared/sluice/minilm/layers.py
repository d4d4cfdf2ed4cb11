"""The layers of MiniLM for one text at a time, as machine code (Vaswani et al. 2017; Devlin et al. 2018; Wang et al. 2020).

Weights stay the eight bits that the model's file has, so that a text reads 11 MB of them and not 42, and activations are taken to fifteen bits of each row's
greatest: products of whole numbers are summed without a rounding, twice as many at once as of floats. Vectors differ from those of the same model in 32-bit floats
by a cosine of 2e-7.
"""

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from sluice.machine_code import (
    BYTES,
    FLOAT,
    FLOATS,
    HALF_SHORTS,
    INT8,
    INT16,
    INT32,
    INT64,
    INTS,
    LANES,
    POINTER,
    SHORTS,
    CodeWriter,
    Compiled,
    compiled,
)

WIDTH, INNER, LAYERS, HEADS = 384, 1536, 6, 12
COLUMNS = 2 * LANES
PARTS = (
    *("asked", "asked_scale", "asked_bias", "out", "out_scale", "out_bias", "first_gain", "first_shift"),
    *("up", "up_scale", "up_bias", "down", "down_scale", "down_bias", "second_gain", "second_shift"),
)
"""What each layer's row of the table of addresses leads to; `asked` are queries, keys and values side by side."""
_HEAD = WIDTH // HEADS
_ROWS = 6  # of a tile: twelve sums, two registers of weights and one of activations are what AVX2 has room for
_TINY, _LOW = 1e-20, -1e30
_EPSILON = 1e-12
_LARGEST = 128  # an eight-bit weight without its sign
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def compiled_layers() -> Compiled:
    """Return `layers(x, y, wide, whole, scales, chances, table, gain, shift, rows)`.

    `x` are the rows' embeddings before their normalization and then the last hidden states, float [rows, 384]. The rest is room: `y` float [rows, 384] of zeros, `wide` float
    [rows, 1536], `whole` short [rows, 1536], `scales` float [rows], `chances` float [rows, rounded up to 8]. `table` has the addresses of `PARTS` for each layer.
    """
    code = CodeWriter()
    _write_quantized(code)
    for rows in range(1, _ROWS + 1):
        _write_tile(code, rows)
    _write_product(code)
    _write_normalized(code)
    _write_gelu(code)
    _write_attention(code)
    _write_layers(code)
    return compiled(str(code.module))


def packed(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return a matrix [inputs, outputs] in the order in which a tile reads it: sixteen outputs after the other, pairs of inputs side by side."""
    inputs, outputs = weights.shape
    parted = weights.reshape(inputs // 2, 2, outputs // COLUMNS, 2, LANES)
    return np.ascontiguousarray(parted.transpose(2, 0, 3, 4, 1))


def _top(inputs: int) -> float:
    """Return how far activations may reach, so that no sum of products overflows 32 bits."""
    return float(min(2**15 - 1, (2**31 - 1) // (_LARGEST * inputs)))


def _write_quantized(code: CodeWriter) -> None:
    """Each row of `x` as shorts of at most `top`, and what one of them is worth."""
    kinds = (POINTER, POINTER, POINTER, INT64, INT64, FLOAT)
    with code.function("quantized", *kinds) as (x, whole, scales, rows, k, top), code.loop(rows) as row:
        start = code.mul(row.at, k)
        source, target = code.at(x, FLOAT, start), code.at(whole, INT16, start)
        with code.loop(k, LANES, [code.spread(_TINY)]) as part:
            part.following[0] = code.greater(part.carried[0], code.size(code.floats(source, part.at)))
        greatest = code.greatest(part.carried[0])
        code.store(code.build.fdiv(greatest, top), scales, FLOAT, row.at)
        factor = code.spread(code.build.fdiv(top, greatest))
        with code.loop(k, LANES) as part:
            near = code.rounded(code.times(code.floats(source, part.at), factor))
            shorts = code.build.trunc(code.build.fptosi(near, INTS), HALF_SHORTS)
            code.store(shorts, target, INT16, part.at)


def _write_tile(code: CodeWriter, rows: int) -> None:
    """The product of some rows with sixteen columns of weights, scaled, with the bias."""
    kinds = (*(POINTER,) * 6, INT64, INT64)
    with code.function(f"tile{rows}", *kinds) as (whole, scales, weights, weight_scale, bias, out, k, n):
        build, zero = code.build, ir.Constant(INTS, [0] * LANES)
        with code.loop(build.lshr(k, code.count(1)), 1, [zero] * (2 * rows)) as pair:
            begin = code.mul(pair.at, 2 * COLUMNS)
            halves = [
                build.sext(code.load(weights, INT8, code.add(begin, half * COLUMNS), BYTES), SHORTS) for half in (0, 1)
            ]
            for row in range(rows):
                place = code.add(code.mul(k, row), code.mul(pair.at, 2))
                two = build.bitcast(code.spread(code.load(whole, INT16, place, INT32)), SHORTS)
                for half in (0, 1):
                    at = 2 * row + half
                    pair.following[at] = build.add(pair.carried[at], code.pairs(two, halves[half]))
        for row in range(rows):
            scale = code.spread(code.load(scales, FLOAT, row))
            for half in (0, 1):
                found = build.sitofp(pair.carried[2 * row + half], FLOATS)
                found = code.times(found, code.times(scale, code.floats(weight_scale, half * LANES)))
                place = code.add(code.mul(n, row), half * LANES)
                code.store(code.plus(found, code.floats(bias, half * LANES)), out, FLOAT, place)


def _write_product(code: CodeWriter) -> None:
    """`out` [rows, n] = rows of shorts [rows, k] times packed weights [k, n] plus bias; sixteen columns' weights stay near while all rows pass."""
    kinds = (*(POINTER,) * 6, INT64, INT64, INT64)
    with code.function("product", *kinds) as (whole, scales, weights, weight_scale, bias, out, rows, k, n):
        build = code.build
        with code.loop(n, COLUMNS) as column:
            at = column.at
            chosen = (
                code.at(weights, INT8, code.mul(at, k)),
                code.at(weight_scale, FLOAT, at),
                code.at(bias, FLOAT, at),
            )

            def tile(height: int, first: object) -> None:
                start = code.at(whole, INT16, code.mul(first, k))
                place = code.at(out, FLOAT, code.add(code.mul(first, n), at))
                code.call(f"tile{height}", start, code.at(scales, FLOAT, first), *chosen, place, k, n)

            # Tiles as high as each other: one of two rows takes as long as one of five.
            tiles = build.udiv(code.add(rows, _ROWS - 1), code.count(_ROWS))
            most = build.udiv(build.sub(code.add(rows, tiles), code.count(1)), tiles)
            with code.loop(tiles) as group:
                first = code.mul(group.at, most)
                left = build.sub(rows, first)
                height = build.select(build.icmp_signed("<", left, most), left, most)
                done = build.function.append_basic_block()
                choice = build.switch(height, done)
                for one in range(1, _ROWS + 1):
                    block = build.function.append_basic_block()
                    choice.add_case(code.count(one), block)
                    build.position_at_end(block)
                    tile(one, first)
                    build.branch(done)
                build.position_at_end(done)


def _write_normalized(code: CodeWriter) -> None:
    """`x` = the layer normalization of `x + y` (Ba et al. 2016)."""
    with code.function("normalized", *(POINTER,) * 4, INT64) as (x, y, gain, shift, rows), code.loop(rows) as row:
        start = code.mul(row.at, WIDTH)
        target, more = code.at(x, FLOAT, start), code.at(y, FLOAT, start)
        with code.loop(WIDTH, LANES, [code.spread(0.0)]) as part:
            both = code.plus(code.floats(target, part.at), code.floats(more, part.at))
            code.store(both, target, FLOAT, part.at)
            part.following[0] = code.plus(part.carried[0], both)
        share = code.number(1 / WIDTH)
        mean = code.spread(code.times(code.total(part.carried[0]), share))
        with code.loop(WIDTH, LANES, [code.spread(0.0)]) as part:
            off = code.minus(code.floats(target, part.at), mean)
            part.following[0] = code.fused(off, off, part.carried[0])
        spread = code.root(code.plus(code.times(code.total(part.carried[0]), share), code.number(_EPSILON)))
        factor = code.spread(code.build.fdiv(code.number(1.0), spread))
        with code.loop(WIDTH, LANES) as part:
            off = code.times(code.minus(code.floats(target, part.at), mean), factor)
            found = code.fused(off, code.floats(gain, part.at), code.floats(shift, part.at))
            code.store(found, target, FLOAT, part.at)


def _write_gelu(code: CodeWriter) -> None:
    """`x` = x Φ(x) (Hendrycks and Gimpel 2016), with the error function by Abramowitz and Stegun 7.1.26 (to 1.5e-7)."""
    with code.function("gelu", POINTER, INT64) as (x, count), code.loop(count, LANES) as part:
        value = code.floats(x, part.at)
        size = code.size(code.times(value, code.spread(0.5**0.5)))
        t = code.build.fdiv(code.spread(1.0), code.fused(size, code.spread(0.3275911), code.spread(1.0)))
        found = code.spread(_ERF[0])
        for number in _ERF[1:]:
            found = code.fused(found, t, code.spread(number))
        power = code.powers(code.build.fneg(code.times(size, size)))
        tail = code.times(code.times(code.times(found, t), power), code.spread(0.5))
        below = code.build.fcmp_ordered("<", value, code.spread(0.0))
        share = code.build.select(below, tail, code.minus(code.spread(1.0), tail))
        code.store(code.times(value, share), x, FLOAT, part.at)


def _write_attention(code: CodeWriter) -> None:
    """`out` [rows, 384] from queries, keys and values side by side [rows, 3 x 384]; `chances` has room for one row's."""
    with code.function("attention", POINTER, POINTER, POINTER, INT64) as (asked, out, chances, rows):
        room = code.build.and_(code.add(rows, LANES - 1), code.count(-LANES))
        with code.loop(HEADS) as head, code.loop(rows) as row:
            column = code.mul(head.at, _HEAD)
            _write_chances(code, asked, chances, (rows, room, row.at, column))
            with code.loop(room, LANES, [code.spread(0.0)]) as part:
                part.following[0] = code.plus(part.carried[0], code.floats(chances, part.at))
            factor = code.spread(code.build.fdiv(code.number(1.0), code.total(part.carried[0])))
            with code.loop(rows, 1, [code.spread(0.0)] * (_HEAD // LANES)) as other:
                place = code.add(code.add(code.mul(other.at, 3 * WIDTH), 2 * WIDTH), column)
                values, chance = code.at(asked, FLOAT, place), code.spread(code.load(chances, FLOAT, other.at))
                for at in range(_HEAD // LANES):
                    other.following[at] = code.fused(chance, code.floats(values, at * LANES), other.carried[at])
            target = code.at(out, FLOAT, code.add(code.mul(row.at, WIDTH), column))
            for at, found in enumerate(other.carried):
                code.store(code.times(found, factor), target, FLOAT, at * LANES)


def _write_chances(code: CodeWriter, asked: object, chances: object, where: tuple[object, ...]) -> None:
    """How much one row looks at each other, not yet divided by their sum."""
    rows, room, row, column = where
    with code.loop(room, LANES) as part:
        code.store(code.spread(_LOW), chances, FLOAT, part.at)
    query = code.at(asked, FLOAT, code.add(code.mul(row, 3 * WIDTH), column))
    parts = [code.floats(query, at) for at in range(0, _HEAD, LANES)]
    with code.loop(rows) as other:
        key = code.at(asked, FLOAT, code.add(code.add(code.mul(other.at, 3 * WIDTH), WIDTH), column))
        found = code.times(parts[0], code.floats(key, 0))
        for at in range(1, _HEAD // LANES):
            found = code.fused(parts[at], code.floats(key, at * LANES), found)
        code.store(code.times(code.total(found), code.number(_HEAD**-0.5)), chances, FLOAT, other.at)
    with code.loop(room, LANES, [code.spread(_LOW)]) as part:
        part.following[0] = code.greater(part.carried[0], code.floats(chances, part.at))
    greatest = code.spread(code.greatest(part.carried[0]))
    with code.loop(room, LANES) as part:
        power = code.powers(code.minus(code.floats(chances, part.at), greatest))
        code.store(power, chances, FLOAT, part.at)


def _write_layers(code: CodeWriter) -> None:
    kinds = (*(POINTER,) * 9, INT64)
    with code.function("layers", *kinds, public=True) as (x, y, wide, whole, scales, chances, table, gain, shift, rows):
        code.call("normalized", x, y, gain, shift, rows)
        with code.loop(LAYERS) as layer:
            start = code.mul(layer.at, len(PARTS))
            part = {name: code.load(table, POINTER, code.add(start, at)) for at, name in enumerate(PARTS)}

            def product(name: str, source: object, target: object, k: int, n: int) -> None:
                code.call("quantized", source, whole, scales, rows, k, code.number(_top(k)))
                given = (part[name], part[f"{name}_scale"], part[f"{name}_bias"])
                code.call("product", whole, scales, *given, target, rows, k, n)

            product("asked", x, wide, WIDTH, 3 * WIDTH)
            code.call("attention", wide, y, chances, rows)
            product("out", y, y, WIDTH, WIDTH)
            code.call("normalized", x, y, part["first_gain"], part["first_shift"], rows)
            product("up", x, wide, WIDTH, INNER)
            code.call("gelu", wide, code.mul(rows, INNER))
            product("down", wide, y, INNER, WIDTH)
            code.call("normalized", x, y, part["second_gain"], part["second_shift"], rows)
