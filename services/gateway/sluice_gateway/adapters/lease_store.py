"""Limits shared through Redis: a hash for each counter, with a field for each life of a gateway process."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.errors import DependencyUnavailable
from sluice.redis import REDIS_DOWN
from sluice_gateway.domain.leases import BUDGETS, RATES, Ask, CounterName, Grant, counter_key, nano_dollars
from sluice_gateway.domain.ports import Exchange

PREFIX = "sluice:limit:"
RUN = "sluice:limits:run"
LIVES = "sluice:limits:lives"
_RATE_KEPT_MS = 3 * 60_000
_KEPT_MS = 35 * 86_400_000

# Each process's own figure is the true one: it is written, and only the others' are summed. A field holds what a process was granted,
# and of that what is not spent for good. A process that knows no figure of its own takes over the difference, in which a grant of
# which it never heard is not contained. "." says in which run of Redis a budget was seeded, "?" who was last told that there is too
# little. After Redis was started anew, or emptied, nothing is granted for a moment, in which all processes tell what they have, and budgets
# are seeded again: it may have lost everything, or be as it was an hour ago.
_EXCHANGE = """
local life, seq, grace, dead = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function whole(n) return string.format('%.0f', n) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('HGET', KEYS[2], life)
if before and tonumber(string.match(before, ':(%d+)$')) >= seq then return {} end
redis.call('HSET', KEYS[2], life, whole(now) .. ':' .. whole(seq))
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local known = redis.call('HMGET', KEYS[1], 'run', 'since')
local since = tonumber(known[2])
if known[1] ~= run then
  since = now
  redis.call('HSET', KEYS[1], 'run', run, 'since', whole(now))
end
local settling = now < since + grace
local alive, lives, flat = {}, 0, redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do
  local age = now - tonumber(string.match(flat[i + 1], '^%d+'))
  if age <= dead then
    alive[flat[i]] = true
    lives = lives + 1
  elseif age > 86400000 then redis.call('HDEL', KEYS[2], flat[i]) end
end
local reply = {run .. ':' .. whole(since), settling and 1 or 0, lives}
for c = 4, #KEYS do
  local at, key = 5 + (c - 4) * 9, KEYS[c]
  local kind, told, open = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local need, least, want = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local limit, ttl, quiet = tonumber(ARGV[at + 6]), ARGV[at + 7], ARGV[at + 8] == '1'
  local others, elsewhere, wanted, earlier, seeded = 0, 0, 0, nil, kind ~= 'budget'
  flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local a, b = string.match(value, '^(%d+):(.*)$')
    if field == life then earlier = math.max(0, tonumber(a) - tonumber(b))
    elseif field == '.' then seeded = b == whole(since)
    elseif field == '?' then
      if b ~= life and now - tonumber(a) < 1000 then wanted = 1 end
    elseif kind == 'slots' and not settling and not alive[field] then redis.call('HDEL', key, field)
    else
      others = others + tonumber(a)
      if alive[field] then elsewhere = elsewhere + tonumber(b) end
    end
  end
  local mine = tonumber(told) or earlier or 0
  local left, grant = limit - others - mine, 0
  if seeded and not settling and left >= least and need + want > 0 then
    grant = math.min(left, math.max(need, math.min(want, math.floor(left / (2 * lives)))))
  end
  if need > grant and seeded and not settling then redis.call('HSET', key, '?', whole(now) .. ':' .. life) end
  if mine + grant > 0 or earlier then
    redis.call('HSET', key, life, whole(mine + grant) .. ':' .. whole(open + grant))
    redis.call('PEXPIRE', key, ttl)
  end
  if not earlier and not quiet then redis.call('SADD', KEYS[3], key) end
  for _, n in ipairs({grant, told == '' and earlier or 0, left - grant, elsewhere, wanted, seeded and 1 or 0}) do
    reply[#reply + 1] = whole(n)
  end
end
redis.call('PEXPIRE', KEYS[3], 3024000000)
return reply
"""

# What the records say is the least that a life has spent: what it told is newer, unless Redis has lost that.
_SEED = """
local function whole(n) return string.format('%.0f', n) end
local since, at = redis.call('HGET', KEYS[1], 'since') or '0', 2
for k = 2, #KEYS do
  local key, lives = KEYS[k], tonumber(ARGV[at])
  for i = at + 1, at + 2 * lives, 2 do
    local spent, granted, open = tonumber(ARGV[i + 1]), 0, 0
    local told = redis.call('HGET', key, ARGV[i])
    if told then
      local a, b = string.match(told, '^(%d+):(%d+)$')
      granted, open = tonumber(a), tonumber(b)
    end
    spent = math.max(spent, granted - open)
    granted = math.max(granted, spent)
    redis.call('HSET', key, ARGV[i], whole(granted) .. ':' .. whole(granted - spent))
    redis.call('SADD', 'sluice:limits:of:' .. ARGV[i], key)
    redis.call('PEXPIRE', 'sluice:limits:of:' .. ARGV[i], ARGV[1])
  end
  redis.call('HSET', key, '.', '0:' .. since)
  redis.call('PEXPIRE', key, ARGV[1])
  at = at + 2 * lives + 1
end
"""


class Spending(Protocol):
    """What was spent, from the records. Raises DependencyUnavailable while they are away."""

    async def spent(self, names: Sequence[CounterName]) -> Mapping[CounterName, Mapping[str, float]]:
        """Return the dollars spent in the windows of budgets, for each life of a gateway process that spent any."""
        ...


class RedisLeaseStore:
    """The store for one life of this process."""

    def __init__(self, redis: Redis, spending: Spending, life: str, *, grace_s: float, dead_after_s: float) -> None:
        self._redis = redis
        self._exchange = redis.register_script(_EXCHANGE)
        self._seed = redis.register_script(_SEED)
        self._spending = spending
        self._life = life
        self._constants = (int(grace_s * 1000), int(dead_after_s * 1000))
        self._keys = (RUN, LIVES, counters_of(life))
        self._sequence = 0

    async def exchange(self, asks: Sequence[Ask]) -> Exchange:
        """Tell what this process has of these counters, and ask for more, in one call."""
        self._sequence += 1
        keys = [*self._keys, *(PREFIX + counter_key(ask.name) for ask in asks)]
        arguments: list[str | int] = [self._life, self._sequence, *self._constants]
        for ask in asks:
            arguments += _arguments(ask)
        try:
            reply = await self._exchange(keys=keys, args=arguments)
        except (RedisError, OSError) as exc:
            raise await self._away(exc) from exc
        if not reply:
            raise DependencyUnavailable("Redis has heard a later question already.")
        run, settling, lives, *numbers = reply
        figures = [int(number) for number in numbers]
        return Exchange(
            run.decode(),
            bool(settling),
            lives,
            tuple(_grant(figures[at : at + 6]) for at in range(0, len(figures), 6)),
        )

    async def seed(self, names: Sequence[CounterName]) -> None:
        """Bring what the records say was spent into the counters of budgets; processes that told more have that."""
        spent = await self._spending.spent(names)
        arguments: list[str | int] = [_KEPT_MS]
        for name in names:
            lives = spent.get(name, {})
            arguments.append(len(lives))
            for life, dollars in lives.items():
                arguments += (life or "-", str(nano_dollars(dollars)))
        try:
            await self._seed(keys=[RUN, *(PREFIX + counter_key(name) for name in names)], args=arguments)
        except (RedisError, OSError) as exc:
            raise await self._away(exc) from exc

    async def _away(self, reason: Exception) -> DependencyUnavailable:
        if isinstance(reason, REDIS_DOWN):
            # Idle connections are broken as well; kept, each would fail a question when Redis is back.
            with suppress(*REDIS_DOWN):
                await self._redis.connection_pool.disconnect(inuse_connections=False)
        return DependencyUnavailable(f"Redis does not answer ({type(reason).__name__}).")


def counters_of(life: str) -> str:
    """Return the key of the set of counters in which a life has a field."""
    return f"sluice:limits:of:{life}"


def _arguments(ask: Ask) -> tuple[str | int, ...]:
    kind = ask.name.kind
    word = "budget" if kind in BUDGETS else "slots" if kind == "concurrent" else "rate"
    rate = kind in RATES
    return (
        word,
        "" if ask.mine is None else ask.mine,
        ask.open,
        ask.need,
        ask.least,
        ask.want,
        ask.limit,
        _RATE_KEPT_MS if rate else _KEPT_MS,
        int(rate),
    )


def _grant(figures: Sequence[int]) -> Grant:
    amount, earlier, left, elsewhere, wanted, seeded = figures
    return Grant(amount, earlier, left, elsewhere, bool(wanted), bool(seeded))
