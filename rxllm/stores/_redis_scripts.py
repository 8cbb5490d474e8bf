"""What runs in the server of a log in Redis: each script is one step, which nothing else comes between.

The keys of a stream. All keys of a log hash to one slot, so that they may be behind the proxy of a cluster.

- ``{PREFIX}:head:NAME``, a hash: what is known of the stream, without its items.
- ``{PREFIX}:items:NAME``, a stream: an entry for each item, whose ID is the position, ``EPOCH-NUMBER``. So one command
  finds what stands behind a position, and the server itself refuses what is out of order. The ending is the last entry.
- ``{PREFIX}:bell:NAME``, a stream of one entry: another one stands there after a claim and after a request to stop.
- ``{PREFIX}:streams``, a sorted set: the names by when they were claimed first; and, under the empty name, the last
  epoch of all.

Rules:

1. The one clock is that of the server. If it was set back, a lease begins again when somebody looks at it.
2. A server may evict keys, or come back with older data. A stream that is not there as a whole is not there: its items
   are counted wherever it matters. Leftovers go when the name is claimed again.
3. What changes something may be sent again if its answer was lost: the answer is then the same.
"""

from __future__ import annotations

from hashlib import sha1

__all__ = [
    "APPEND",
    "BEAT",
    "CALLED",
    "CANCEL",
    "CLAIM",
    "END",
    "EXPIRE",
    "GIVE_BACK",
    "LIST",
    "PAGE",
    "PLACE",
    "Script",
]

_TEXT = """
local function text(number) return string.format('%.0f', number) end
"""

_COMMON = """
local FIELDS = {'epoch', 'from', 'items', 'bytes', 'largest', 'began', 'born', 'lease', 'beat', 'last', 'ending',
                'cancel', 'token', 'ended'}
local NUMBERS = {'epoch', 'from', 'items', 'bytes', 'largest', 'began', 'born', 'lease', 'beat'}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What is known of a stream; nil if it is not there as a whole.
local function known(head, items)
  local found = redis.call('HMGET', head, unpack(FIELDS))
  if not found[1] then return nil end
  local stream = {}
  for i, field in ipairs(FIELDS) do stream[field] = found[i] end
  for _, field in ipairs(NUMBERS) do stream[field] = tonumber(stream[field]) end
  if redis.call('XLEN', items) ~= stream.items + (stream.ending and 1 or 0) then return nil end
  return stream
end

-- For how many milliseconds more its writer counts as alive.
local function left(head, stream)
  if stream.ending then return 0 end
  if now < stream.beat then
    redis.call('HSET', head, 'beat', text(now))
    stream.beat = now
  end
  return math.max(stream.lease - (now - stream.beat), 0)
end
"""

_ONE_STREAM = """
local HEAD, ITEMS, BELL, STREAMS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
"""

_WRITING = """
local stream = known(HEAD, ITEMS)

local function ring()
  local number = redis.call('HINCRBY', HEAD, 'calls', 1)
  redis.call('XADD', BELL, 'MAXLEN', 1, number .. '-0', 'rung', text(now))
  return number
end

-- A sign of life. If the list was evicted, it is made again of the streams that something happens to.
local function sign(name)
  redis.call('HSET', HEAD, 'beat', text(now))
  redis.call('ZADD', STREAMS, 'NX', text(stream.born), name)
end

-- Why the writer of an epoch may not write; nil if it may.
local function refused(epoch)
  if not stream then return {'lost', 'it is gone'} end
  if stream.ending then return {'lost', 'it has ended: ' .. stream.ending} end
  if stream.epoch ~= tonumber(epoch) then
    return {'lost', 'another writer has claimed it, with epoch ' .. text(stream.epoch)}
  end
end
"""

_CLAIM = """
local name, lease, take_over, token = unpack(ARGV)
if stream and stream.token == token then
  return {'claimed', stream.epoch, stream.from, stream.began, tonumber(redis.call('HGET', HEAD, 'calls'))}
end
if stream and stream.ending then return {'ended', stream.ending} end
if stream and take_over == '0' then
  local rest = left(HEAD, stream)
  if rest > 0 then return {'taken', rest} end
end
local last = tonumber(redis.call('ZSCORE', STREAMS, '') or 0)
if stream then last = math.max(last, stream.epoch) end
local epoch = math.max(now, last + 1)
if not stream then
  redis.call('UNLINK', HEAD, ITEMS, BELL)
  stream = {items = 0, began = now, born = epoch}
  redis.call('HSET', HEAD, 'items', 0, 'bytes', 0, 'largest', 0, 'began', text(now), 'born', text(epoch))
end
redis.call('HSET', HEAD, 'epoch', text(epoch), 'from', stream.items, 'lease', lease, 'token', token)
redis.call('ZADD', STREAMS, text(epoch), '')
sign(name)
return {'claimed', epoch, stream.items, stream.began, ring()}
"""

# What is nearly always so, with as little asked and computed as will do: whoever reads waits for this.
_APPEND_NEXT = """
local name, epoch, first, size, largest = unpack(ARGV, 1, 5)
local OWN = 5
local number, count = tonumber(first), #ARGV - OWN
local owner, items, ending, bytes, most, born =
  unpack(redis.call('HMGET', HEAD, 'epoch', 'items', 'ending', 'bytes', 'largest', 'born'))
if owner == epoch and items == first and not ending and redis.call('XLEN', ITEMS) == number then
  local time, id = redis.call('TIME')
  for i = OWN + 1, #ARGV do
    id = epoch .. '-' .. text(number)
    redis.call('XADD', ITEMS, id, 'item', ARGV[i])
    number = number + 1
  end
  redis.call('HSET', HEAD, 'items', text(number), 'bytes', text(bytes + size), 'last', id,
             'largest', text(math.max(most, largest)), 'beat', text(time[1] * 1000 + math.floor(time[2] / 1000)))
  redis.call('ZADD', STREAMS, 'NX', born, name)
  return {'written'}
end
"""

# Why not; or it was sent again, and is there.
_APPEND_ELSE = """
local why = refused(epoch)
if why then return why end
if number < stream.from or number + count > stream.items then
  return {'lost', 'it has ' .. text(stream.items) .. ' items, and not ' .. first}
end
sign(name)
return {'written'}
"""

_BEAT = """
local name, epoch = unpack(ARGV)
local why = refused(epoch)
if why then return why end
sign(name)
return {'written'}
"""

_GIVE_BACK = """
local why = refused(ARGV[2])
if why then return why end
redis.call('HSET', HEAD, 'lease', 0)
return {'written'}
"""

_CALLED = """
return refused(ARGV[2]) or {'called', stream.cancel}
"""

_END = """
local name, epoch, ending, record, token = unpack(ARGV)
if stream and stream.ended == token then return {'written'} end
local why = refused(epoch)
if why then return why end
redis.call('XADD', ITEMS, epoch .. '-' .. text(stream.items), 'end', record)
redis.call('HSET', HEAD, 'ending', ending, 'ended', token)
sign(name)
return {'written'}
"""

_CANCEL = """
if not stream then return {'unknown'} end
if not stream.ending and redis.call('HSETNX', HEAD, 'cancel', ARGV[1]) == 1 then ring() end
return {'asked', left(HEAD, stream)}
"""

# How many items a page has is known from the largest one of the stream: no more is looked at than is given.
_PAGE = """
local stream = known(HEAD, ITEMS)
if not stream then return {'unknown'} end
local id, most, size = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local entries, count, found = {}
repeat
  count = math.min(math.max(math.floor(size / math.max(stream.largest, 1)), 1), most)
  found = redis.call('XRANGE', ITEMS, '(' .. id, '+', 'COUNT', count)
  for _, entry in ipairs(found) do
    local field, text = unpack(entry[2])
    if field == 'item' or #entries == 0 then entries[#entries + 1] = entry end
    id, most, size = entry[1], field == 'item' and most - 1 or 0, size - #text
  end
until #found < count or most == 0 or size <= 0
return {'page', left(HEAD, stream), stream.lease, stream.items, stream.largest, entries}
"""

# Several items are looked at together, but no more than a megabyte of them.
_PLACE = """
local stream = known(HEAD, ITEMS)
if not stream then return {'unknown'} end
local id, back = ARGV[1], tonumber(ARGV[2])
if id == '' then return {'place', '0-0'} end
local entry = redis.call('XRANGE', ITEMS, id, id)[1]
if not entry or entry[2][1] ~= 'item' then return {'position', stream.last or ''} end
local most = math.max(math.floor(2^20 / math.max(stream.largest, 1)), 1)
while back > 0 do
  local found = redis.call('XREVRANGE', ITEMS, '(' .. id, '-', 'COUNT', math.min(back, most))
  if #found == 0 then return {'place', '0-0'} end
  id, back = found[#found][1], back - #found
end
return {'place', id}
"""

_ALL_STREAMS = """
local STREAMS, PREFIX = KEYS[1], ARGV[1]

local function each(act)
  for _, name in ipairs(redis.call('ZRANGE', STREAMS, 0, -1)) do
    if name ~= '' then
      local head, items = PREFIX .. 'head:' .. name, PREFIX .. 'items:' .. name
      act(name, known(head, items), head, items)
    end
  end
end
"""

_LIST = """
local found = {}
each(function(name, stream, head)
  if stream then
    found[#found + 1] = {name, stream.began, stream.items, stream.bytes, stream.ending, left(head, stream), stream.last}
  end
end)
return found
"""

_EXPIRE = """
local older_than, keep_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local total, dead, removed = 0, {}, {}

local function remove(name, head, items)
  redis.call('UNLINK', head, items, PREFIX .. 'bell:' .. name)
  redis.call('ZREM', STREAMS, name)
end

each(function(name, stream, head, items)
  if not stream then
    remove(name, head, items)
  else
    total = total + stream.bytes
    if left(head, stream) == 0 then dead[#dead + 1] = {name, stream, head, items} end
  end
end)
table.sort(dead, function(one, other) return one[2].beat < other[2].beat end)
for _, found in ipairs(dead) do
  local name, stream, head, items = unpack(found)
  if (older_than and now - stream.beat >= older_than) or (keep_bytes and total > keep_bytes) then
    remove(name, head, items)
    total = total - stream.bytes
    removed[#removed + 1] = name
  end
end
return removed
"""


class Script:
    """A script, and how the server calls it.

    Attributes:
        text: What it does.
        digest: Its name in a server that has run it before.
    """

    def __init__(self, *parts: str) -> None:
        self.text = "".join(parts)
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_WRITER = (_TEXT, _COMMON, _ONE_STREAM, _WRITING)

CLAIM = Script(*_WRITER, _CLAIM)
APPEND = Script(_TEXT, _ONE_STREAM, _APPEND_NEXT, _COMMON, _WRITING, _APPEND_ELSE)
BEAT = Script(*_WRITER, _BEAT)
GIVE_BACK = Script(*_WRITER, _GIVE_BACK)
CALLED = Script(*_WRITER, _CALLED)
END = Script(*_WRITER, _END)
CANCEL = Script(*_WRITER, _CANCEL)
PAGE = Script(_TEXT, _COMMON, _ONE_STREAM, _PAGE)
PLACE = Script(_TEXT, _COMMON, _ONE_STREAM, _PLACE)
LIST = Script(_TEXT, _COMMON, _ALL_STREAMS, _LIST)
EXPIRE = Script(_TEXT, _COMMON, _ALL_STREAMS, _EXPIRE)
