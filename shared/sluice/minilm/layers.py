"""The layers of MiniLM for one text at a time, as machine code (Vaswani et al. 2017; Devlin et al. 2018; Wang et al. 2020).

Weights stay the eight bits that the model's file has, so that a text reads 11 MB of them and not 42, and activations are taken to fifteen bits of each row's
greatest: products of whole numbers are summed without a rounding, twice as many at once as of floats. Vectors differ from those of the same model in 32-bit floats
by a cosine of 2e-7.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from sluice.machine_code import (
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    POINTER,
    CodeWriter,
    Compiled,
    compiled,
)

WIDTH, INNER, LAYERS, HEADS = 384, 1536, 6, 12
PARTS = (
    *("asked", "asked_scale", "asked_bias", "out", "out_scale", "out_bias", "first_gain", "first_shift"),
    *("up", "up_scale", "up_bias", "down", "down_scale", "down_bias", "second_gain", "second_shift"),
)
"""What each layer's row of the table of addresses leads to; `asked` are queries, keys and values side by side."""
_HEAD = WIDTH // HEADS
_TILE_ROWS = {8: 6, 16: 12}
"""How many rows a tile has, by lanes: two sums each, two registers of weights and one of activations have to find room in AVX2's sixteen registers and AVX-512's 32."""
_QUERIES = {8: 2, 16: 4}
"""How many rows look at the others at once, by lanes."""
_TINY, _LOW = 1e-20, -1e30
_EPSILON = 1e-12
_LARGEST = 128  # an eight-bit weight without its sign
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@functools.cache  # of no state: all runners of a process share it, and one that comes back after a rest finds it
def compiled_layers(lanes: int) -> Compiled:
    """Return, for registers of so many lanes, `layers(x, y, wide, whole, scales, turned, chances, table, gain, shift, rows)`.

    `x` are the rows' embeddings before their normalization and then the last hidden states, float [rows, 384]. The rest is room: `y` float [rows, 384] of zeros, `wide` float
    [rows, 1536], `whole` short [rows, 1536], `scales` float [rows], `turned` float [32, room], `chances` float [4, room], where `room` is the rows, rounded up to 32. `table` has the addresses of `PARTS` for each layer.
    """
    code = CodeWriter(lanes)
    _write_quantized(code)
    for rows in range(1, _TILE_ROWS[lanes] + 1):
        _write_tile(code, rows)
    _write_product(code)
    _write_normalized(code)
    _write_gelu(code)
    _write_attention(code)
    _write_layers(code)
    return compiled(str(code.module))


def attention_room(rows: int) -> tuple[int, int]:
    """Return how many floats `turned` and `chances` have to hold for so many rows."""
    room = -(-rows // _HEAD) * _HEAD
    return _HEAD * room, max(_QUERIES.values()) * room


def packed(weights: NDArray[np.int8], lanes: int) -> NDArray[np.int8]:
    """Return a matrix [inputs, outputs] in the order in which a tile reads it: twice the lanes' outputs after the other, pairs of inputs side by side."""
    inputs, outputs = weights.shape
    parted = weights.reshape(inputs // 2, 2, outputs // (2 * lanes), 2, lanes)
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
        with code.loop(k, code.lanes, [code.spread(_TINY)]) as part:
            part.following[0] = code.greater(part.carried[0], code.size(code.floats(source, part.at)))
        greatest = code.greatest(part.carried[0])
        code.store(code.build.fdiv(greatest, top), scales, FLOAT, row.at)
        factor = code.spread(code.build.fdiv(top, greatest))
        with code.loop(k, code.lanes) as part:
            near = code.rounded(code.times(code.floats(source, part.at), factor))
            shorts = code.build.trunc(code.build.fptosi(near, code.ints_kind), code.half_shorts_kind)
            code.store(shorts, target, INT16, part.at)


def _write_tile(code: CodeWriter, rows: int) -> None:
    """The product of some rows with two registers' columns of weights, scaled, with the bias."""
    kinds = (*(POINTER,) * 6, INT64, INT64)
    with code.function(f"tile{rows}", *kinds) as (whole, scales, weights, weight_scale, bias, out, k, n):
        build, zero, columns = code.build, code.no_integers(), 2 * code.lanes
        with code.loop(build.lshr(k, code.count(1)), 1, [zero] * (2 * rows)) as pair:
            begin = code.mul(pair.at, 2 * columns)
            halves = [
                build.sext(code.load(weights, INT8, code.add(begin, half * columns), code.bytes_kind), code.shorts_kind)
                for half in (0, 1)
            ]
            for row in range(rows):
                place = code.add(code.mul(k, row), code.mul(pair.at, 2))
                two = build.bitcast(code.spread(code.load(whole, INT16, place, INT32)), code.shorts_kind)
                for half in (0, 1):
                    at = 2 * row + half
                    pair.following[at] = build.add(pair.carried[at], code.pairs(two, halves[half]))
        for row in range(rows):
            scale = code.spread(code.load(scales, FLOAT, row))
            for half in (0, 1):
                found = build.sitofp(pair.carried[2 * row + half], code.floats_kind)
                found = code.times(found, code.times(scale, code.floats(weight_scale, half * code.lanes)))
                place = code.add(code.mul(n, row), half * code.lanes)
                code.store(code.plus(found, code.floats(bias, half * code.lanes)), out, FLOAT, place)


def _write_product(code: CodeWriter) -> None:
    """`out` [rows, n] = rows of shorts [rows, k] times packed weights [k, n] plus bias; the weights of two registers' columns stay near while all rows pass."""
    kinds = (*(POINTER,) * 6, INT64, INT64, INT64)
    with code.function("product", *kinds) as (whole, scales, weights, weight_scale, bias, out, rows, k, n):
        build, tallest = code.build, _TILE_ROWS[code.lanes]
        with code.loop(n, 2 * code.lanes) as column:
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
            tiles = build.udiv(code.add(rows, tallest - 1), code.count(tallest))
            most = build.udiv(build.sub(code.add(rows, tiles), code.count(1)), tiles)
            with code.loop(tiles) as group:
                first = code.mul(group.at, most)
                left = build.sub(rows, first)
                height = build.select(build.icmp_signed("<", left, most), left, most)
                done = build.function.append_basic_block()
                choice = build.switch(height, done)
                for one in range(1, tallest + 1):
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
        with code.loop(WIDTH, code.lanes, [code.spread(0.0)]) as part:
            both = code.plus(code.floats(target, part.at), code.floats(more, part.at))
            code.store(both, target, FLOAT, part.at)
            part.following[0] = code.plus(part.carried[0], both)
        share = code.number(1 / WIDTH)
        mean = code.spread(code.times(code.total(part.carried[0]), share))
        with code.loop(WIDTH, code.lanes, [code.spread(0.0)]) as part:
            off = code.minus(code.floats(target, part.at), mean)
            part.following[0] = code.fused(off, off, part.carried[0])
        spread = code.root(code.plus(code.times(code.total(part.carried[0]), share), code.number(_EPSILON)))
        factor = code.spread(code.build.fdiv(code.number(1.0), spread))
        with code.loop(WIDTH, code.lanes) as part:
            off = code.times(code.minus(code.floats(target, part.at), mean), factor)
            found = code.fused(off, code.floats(gain, part.at), code.floats(shift, part.at))
            code.store(found, target, FLOAT, part.at)


def _write_gelu(code: CodeWriter) -> None:
    """`x` = x Φ(x) (Hendrycks and Gimpel 2016), with the error function by Abramowitz and Stegun 7.1.26 (to 1.5e-7)."""
    with code.function("gelu", POINTER, INT64) as (x, count), code.loop(count, code.lanes) as part:
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


def _write_turned(code: CodeWriter) -> None:
    """The keys of one head, [rows, 32] of `asked`, as [32, room]; what is beyond the rows is 0."""
    with code.function("turned", POINTER, POINTER, INT64, INT64) as (keys, turned, rows, room):
        with code.loop(code.mul(room, _HEAD), code.lanes) as part:
            code.store(code.spread(0.0), turned, FLOAT, part.at)
        with code.loop(rows) as row:
            key = code.at(keys, FLOAT, code.mul(row.at, 3 * WIDTH))
            for at in range(_HEAD):
                code.store(code.load(key, FLOAT, at), turned, FLOAT, code.add(code.mul(room, at), row.at))


def _write_attention(code: CodeWriter) -> None:
    """`out` [rows, 384] from queries, keys and values side by side [rows, 3 x 384]; `turned` has room for one head's keys, `chances` for some rows'."""
    _write_turned(code)
    most = _QUERIES[code.lanes]
    for together in (1, most):
        _write_looks(code, together)
    with code.function("attention", *(POINTER,) * 4, INT64) as (asked, out, turned, chances, rows):
        build = code.build
        room = build.and_(code.add(rows, _HEAD - 1), code.count(-_HEAD))
        few = build.icmp_signed("<", rows, code.count(most))
        alone = build.select(few, rows, code.count(0))
        groups = build.select(few, code.count(0), build.udiv(code.add(rows, most - 1), code.count(most)))
        last = build.sub(rows, code.count(most))
        with code.loop(HEADS) as head:
            column = code.mul(head.at, _HEAD)
            here, target = code.at(asked, FLOAT, column), code.at(out, FLOAT, column)
            code.call("turned", code.at(here, FLOAT, WIDTH), turned, rows, room)
            with code.loop(alone) as row:
                code.call("looks1", here, target, turned, chances, row.at, rows, room)
            with code.loop(groups) as group:  # the last begins sooner, so that it is whole
                first = code.mul(group.at, most)
                first = build.select(build.icmp_signed("<", first, last), first, last)
                code.call(f"looks{most}", here, target, turned, chances, first, rows, room)


def _write_looks(code: CodeWriter, together: int) -> None:
    """What some rows of one head see: `out` from where the queries of that head, and of every row, begin."""
    kinds = (*(POINTER,) * 4, INT64, INT64, INT64)
    with code.function(f"looks{together}", *kinds) as (asked, out, turned, chances, first, rows, room):
        lanes = code.lanes
        queries = [code.at(asked, FLOAT, code.mul(code.add(first, at), 3 * WIDTH)) for at in range(together)]
        looks = [code.at(chances, FLOAT, code.mul(room, at)) for at in range(together)]
        steps = range(0, _HEAD, lanes)
        with code.loop(room, _HEAD) as block:
            with code.loop(_HEAD, 1, [code.spread(0.0)] * (together * len(steps))) as part:
                place = code.add(code.mul(room, part.at), block.at)
                keys = [code.floats(turned, code.add(place, step)) for step in steps]
                for at, query in enumerate(queries):
                    one = code.spread(code.load(query, FLOAT, part.at))
                    for number, key in enumerate(keys, at * len(steps)):
                        part.following[number] = code.fused(one, key, part.carried[number])
            for number, found in enumerate(part.carried):
                at, step = divmod(number, len(steps))
                scaled = code.times(found, code.spread(_HEAD**-0.5))
                code.store(scaled, looks[at], FLOAT, code.add(block.at, step * lanes))
        factors = [_write_chances(code, look, rows, room) for look in looks]
        with code.loop(rows, 1, [code.spread(0.0)] * (together * len(steps))) as other:
            place = code.at(asked, FLOAT, code.add(code.mul(other.at, 3 * WIDTH), 2 * WIDTH))
            values = [code.floats(place, step) for step in steps]
            for at, look in enumerate(looks):
                chance = code.spread(code.load(look, FLOAT, other.at))
                for number, value in enumerate(values, at * len(steps)):
                    other.following[number] = code.fused(chance, value, other.carried[number])
        for number, found in enumerate(other.carried):
            at, step = divmod(number, len(steps))
            place = code.add(code.mul(code.add(first, at), WIDTH), step * lanes)
            code.store(code.times(found, factors[at]), out, FLOAT, place)


def _write_chances(code: CodeWriter, looks: object, rows: object, room: object) -> object:
    """How much one row looks at each other, from the products of its query and their keys; returns what they are to be multiplied by to be 1 together."""
    with code.loop(code.build.sub(room, rows)) as beyond:
        code.store(code.number(_LOW), looks, FLOAT, code.add(rows, beyond.at))
    with code.loop(room, code.lanes, [code.spread(_LOW)]) as part:
        part.following[0] = code.greater(part.carried[0], code.floats(looks, part.at))
    greatest = code.spread(code.greatest(part.carried[0]))
    with code.loop(room, code.lanes, [code.spread(0.0)]) as part:
        power = code.powers(code.minus(code.floats(looks, part.at), greatest))
        code.store(power, looks, FLOAT, part.at)
        part.following[0] = code.plus(part.carried[0], power)
    return code.spread(code.build.fdiv(code.number(1.0), code.total(part.carried[0])))


def _write_layers(code: CodeWriter) -> None:
    kinds = (*(POINTER,) * 10, INT64)
    with code.function("layers", *kinds, public=True) as given:
        x, y, wide, whole, scales, turned, chances, table, gain, shift, rows = given
        code.call("normalized", x, y, gain, shift, rows)
        with code.loop(LAYERS) as layer:
            start = code.mul(layer.at, len(PARTS))
            part = {name: code.load(table, POINTER, code.add(start, at)) for at, name in enumerate(PARTS)}

            def product(name: str, source: object, target: object, k: int, n: int) -> None:
                code.call("quantized", source, whole, scales, rows, k, code.number(_top(k)))
                given = (part[name], part[f"{name}_scale"], part[f"{name}_bias"])
                code.call("product", whole, scales, *given, target, rows, k, n)

            product("asked", x, wide, WIDTH, 3 * WIDTH)
            code.call("attention", wide, y, turned, chances, rows)
            product("out", y, y, WIDTH, WIDTH)
            code.call("normalized", x, y, part["first_gain"], part["first_shift"], rows)
            product("up", x, wide, WIDTH, INNER)
            code.call("gelu", wide, code.mul(rows, INNER))
            product("down", wide, y, INNER, WIDTH)
            code.call("normalized", x, y, part["second_gain"], part["second_shift"], rows)
