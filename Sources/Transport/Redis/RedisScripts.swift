import CoppiceRedis

/// The scripts in which a message changes hands. Each is one atomic step for every other client of the server.
///
/// A message that is held stands in kombu's `unacked` hash as `[<message>,"","<queue>"]`, put together without being parsed, under a
/// tag `<incarnation>:<sequence>:<priority step>`, and in `unacked_index` with the time of the server's clock.
///
/// A server at its `maxmemory` refuses a script's first write if that may take memory, and none after the first. So they begin with one
/// that takes none: a Redis that is full of messages must let them be worked off.
///
/// A script's writes stay when its next command fails, be it for a key of another kind or for a right that the user lacks. So
/// it tries first what it must be able to do last, in a form that changes nothing (`HDEL key ''`, `ZREM key ''`, `RPOP key 0`): only
/// what can't fail any more comes behind a message's second place, and a message is removed from its first place last.
enum RedisScripts {
    enum Name {
        case take, look, commit, rights, renew, leaseless, restore, inherit, bury, claim, record, check, overdue, rescue, unlock, reindex

        /// What `RedisMember` wants, and `RedisSweep` besides.
        static let member: [Name] = [.renew, .leaseless, .restore, .inherit, .bury]
        static let sweep: [Name] = [.overdue, .rescue, .unlock, .reindex]
    }

    static func text(_ name: Name) -> String {
        switch name {
        case .take: take
        case .look: look
        case .commit: commit
        case .rights: rights
        case .renew: renew
        case .leaseless: leaseless
        case .restore: restore
        case .inherit: inherit
        case .bury: bury
        case .claim: RedisLedgerScripts.claim
        case .record: RedisLedgerScripts.record
        case .check: RedisLedgerScripts.check
        case .overdue: overdue
        case .rescue: rescue
        case .unlock: unlock
        case .reindex: reindex
        }
    }

    /// Whether an incarnation's lease is that of one of its sessions.
    private static let leads = """
        local function leads(nodes, incarnation, session)
          return string.match(redis.call('HGET', nodes, incarnation) or '', '^(%d+)%.') == session
        end
        """

    /// Takes up to a number of messages, those whose time has come first, and records them as held.
    ///
    /// KEYS: unacked, unacked_index, revoked, nodes, parked sets, lists in the order of service.
    /// ARGV: count, bytes after which to end, incarnation, session, first sequence number, seconds before its time at which a message may
    /// be taken, whether a list is emptied before the next ('strict') or all take turns (''), the priority steps, number of parked sets,
    /// per set a record's ending, per list its priority step and a record's ending.
    /// Returns the newest revocation's mark; per set and list 1 if more may be there, else 0; then per message the number of its set or
    /// list, counted from 1, its step and the message. Null if the lease is not this session's: what is taken under no lease, or behind
    /// a later session's back, nobody would find.
    private static let take = """
        \(leads)
        local want, room, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
        if not leads(KEYS[4], owner, ARGV[4]) then return false end
        local prefix, sequence, sets = owner .. ':', tonumber(ARGV[5]), tonumber(ARGV[9])
        local strict = ARGV[7] == 'strict'
        local newest = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')
        redis.call('HDEL', KEYS[1], '')
        redis.call('ZREM', KEYS[2], '')
        local clock = redis.call('TIME')
        local now = clock[1] + clock[2] / 1000000
        local stamp = string.format('%.6f', now)
        local out, more, entries, scores, n = { newest[2] or '', '' }, {}, {}, {}, 0
        local function hold(place, step, message, ending)
          local tag = prefix .. string.format('%d', sequence + n) .. ':' .. step
          entries[2 * n + 1], entries[2 * n + 2] = tag, '[' .. message .. ending
          scores[2 * n + 1], scores[2 * n + 2] = stamp, tag
          out[3 * n + 3], out[3 * n + 4], out[3 * n + 5] = place, step, message
          n = n + 1
          room = room - #message
        end
        -- What is parked: from one name in the hash to another.
        local released, kept = {}, {}
        for p = 1, sets do
          local set, ending, limit = KEYS[4 + p], ARGV[9 + p], want - n
          local due = room > 0 and redis.call('ZRANGEBYSCORE', set, '-inf', string.format('%.6f', now + ARGV[6]), 'LIMIT', 0, limit)
          more[p] = (not due or #due == limit) and '1' or '0'
          if due and due[1] then
            redis.call('ZREM', set, '')
            for _, tag in ipairs(due) do
              if room <= 0 then
                more[p] = '1'
                break
              end
              local entry = redis.call('HGET', KEYS[1], tag)
              if entry then
                -- It may have been parked with other steps than are ours.
                local step, place = tonumber(string.match(tag, ':(%d+)$')) or 0
                for own in string.gmatch(ARGV[8], '%d+') do if not place or tonumber(own) <= step then place = own end end
                hold(p, place, string.sub(entry, 2, -(#ending + 1)), ending)
              end
              released[#released + 1] = { set, tag }
            end
          end
          kept[p] = true
        end
        -- What waits: step by step, within a step one message of each list after the other. It is read only.
        local popped = {}
        local first, last = 1, #KEYS - 4 - sets
        while first <= last do
          local step, i = ARGV[9 + sets + 2 * first - 1], first
          local alive = {}
          while i <= last and ARGV[9 + sets + 2 * i - 1] == step do
            -- A key of another kind holds no messages.
            local length = n >= want and -1 or redis.pcall('LLEN', KEYS[4 + sets + i])
            if type(length) ~= 'number' then length = 0 end
            more[sets + i] = length ~= 0 and '1' or '0'
            if length > 0 then
              alive[#alive + 1] = { place = sets + i, length = length, taken = 0 }
              popped[#popped + 1] = alive[#alive]
            end
            i = i + 1
          end
          while alive[1] and n < want and room > 0 do
            local still = {}
            for turn, list in ipairs(alive) do
              if n < want and room > 0 and (turn == 1 or not strict) then
                local count = math.min((strict or #alive == 1) and 4 or 1, want - n, list.length - list.taken)
                local messages = redis.call('LRANGE', KEYS[4 + list.place], -list.taken - count, -list.taken - 1)
                local ending = ARGV[9 + sets + 2 * (list.place - sets)]
                for m = #messages, 1, -1 do hold(list.place, step, messages[m], ending) end
                list.taken = list.taken + count
              end
              if list.taken < list.length then still[#still + 1] = list else more[list.place] = '0' end
            end
            alive = still
          end
          first = i
        end
        -- Held before it leaves its list, and held no more if it can't.
        local failure
        local function try(...)
          local answer = failure or redis.pcall(...)
          if type(answer) == 'table' and answer.err then failure = answer end
          return not failure
        end
        for from = 1, 2 * n, 512 do
          local to = math.min(from + 511, 2 * n)
          local done = try('HSET', KEYS[1], unpack(entries, from, to)) and try('ZADD', KEYS[2], unpack(scores, from, to))
        end
        if failure then kept = {} end
        for _, list in ipairs(popped) do
          if list.taken > 0 and try('LTRIM', KEYS[4 + list.place], 0, -list.taken - 1) then kept[list.place] = true end
        end
        if failure then
          for m = 0, n - 1 do
            if not kept[out[3 * m + 3]] then
              redis.call('HDEL', KEYS[1], entries[2 * m + 1])
              redis.call('ZREM', KEYS[2], entries[2 * m + 1])
            end
          end
        end
        if not failure or kept[1] and sets > 0 then
          for _, place in ipairs(released) do
            redis.call('ZREM', place[1], place[2])
            redis.call('ZREM', KEYS[2], place[2])
            redis.call('HDEL', KEYS[1], place[2])
          end
        end
        if failure then return failure end
        out[2] = table.concat(more)
        return out
        """

    /// Tells where something is. Called with tracking on, it hangs the bell on all of its keys.
    ///
    /// KEYS: lists, then parked sets. ARGV: number of lists. Returns, of those that are not empty, the key's number, counted from 1, and
    /// in how many seconds the first message is due: 0 for a list.
    private static let look = """
        local out = {}
        local clock = redis.call('TIME')
        local now = clock[1] + clock[2] / 1000000
        for i = 1, #KEYS do
          if i <= tonumber(ARGV[1]) then
            -- A key of another kind holds no messages.
            local length = redis.pcall('LLEN', KEYS[i])
            if type(length) == 'number' and length > 0 then
              out[#out + 1] = i
              out[#out + 1] = '0'
            end
          else
            local first = redis.pcall('ZRANGEBYSCORE', KEYS[i], '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
            -- The take says what is wrong with it.
            if first.err or first[2] then
              out[#out + 1] = i
              out[#out + 1] = first.err and '0' or string.format('%.6f', first[2] - now)
            end
          end
        end
        return out
        """

    /// What commits and a ledger's entries have in common; their keys and first eight arguments are the same.
    static let effects = """
        local call = redis.call
        local answer = { '' }
        call('HDEL', KEYS[1], '')
        -- Whether a list can be written to; an error if not.
        local function lookAtList(key)
          call('LLEN', key)
          call('RPOP', key, 0)
        end
        -- Whether a step can go through, as far as its keys and what comes last in it go; an error if not.
        local function look(op, note, task)
          if note ~= '' then lookAtList(ARGV[7] .. task) end
          if op == 'D' then
            call('HDEL', KEYS[5], '')
            call('HSTRLEN', KEYS[5], '')
            call('LTRIM', KEYS[4], 0, -1)
            lookAtList(KEYS[6])
            call('INCRBY', KEYS[7], 0)
            call('DECRBY', KEYS[7], 0)
          end
        end
        -- To the dead-letter place; tells whether an older message had to make room.
        local function setAside(id, record, message)
          local verdict = '1'
          call('HSET', KEYS[5], id, message)
          if type(redis.pcall('LPUSH', KEYS[6], id)) == 'table' then
            call('HDEL', KEYS[5], id)
            call('LPUSH', KEYS[6], id)
          end
          call('LPUSH', KEYS[4], record)
          call('LTRIM', KEYS[4], 0, ARGV[5] - 1)
          local size = call('INCRBY', KEYS[7], #message)
          while true do
            local isFull = size > tonumber(ARGV[6])
            -- Whose record is gone has no use for its body either.
            if not isFull and call('LLEN', KEYS[6]) <= tonumber(ARGV[5]) then break end
            local old = call('RPOP', KEYS[6])
            if not old then break end
            size = call('DECRBY', KEYS[7], call('HSTRLEN', KEYS[5], old))
            call('HDEL', KEYS[5], old)
            if isFull then verdict = '2' end
          end
          return verdict
        end
        local function attempt(note, task, story)
          local key = ARGV[7] .. task
          if note == 'b' then
            -- Written by an earlier try whose answer was lost: the same attempt.
            if call('LINDEX', key, -1) ~= story then call('RPUSH', key, story) end
            call('EXPIRE', key, ARGV[8])
            answer[#answer + 1] = call('LRANGE', key, 0, -2)
          elseif note == 'd' then
            if call('EXISTS', key) == 1 then call('LSET', key, -1, story) end
          elseif note == 'w' then
            call('RPOP', key)
          else
            call('DEL', key)
          end
        end
        \(RedisResultWrites.function)
        -- So many writes that stand in the arguments from this one on.
        local function writeAll(first, count)
          local ttl, prefix, rdb, db = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
          if rdb ~= db then call('SELECT', rdb) end
          for w = first, first + 3 * count - 1, 3 do write(prefix .. ARGV[w], ARGV[w + 1], ARGV[w + 2], ttl) end
          if rdb ~= db then call('SELECT', db) end
        end
        """

    /// Tries commands, and tells which of them the user may not give.
    ///
    /// ARGV: per command its number of words and the words. Returns number, counted from 1, and error of those that are refused; and a
    /// last error, under the number 0, for which the trial ended.
    private static let rights = """
        local out, at, number = {}, 1, 0
        while ARGV[at] do
          number = number + 1
          local last = at + ARGV[at]
          local answer = redis.pcall(unpack(ARGV, at + 1, last))
          local failure = type(answer) == 'table' and answer.err
          if failure and (string.find(failure, 'The user executing the script', 1, true) or string.find(failure, 'NOPERM', 1, true)) then
            out[#out + 1] = number
            out[#out + 1] = failure
          elseif failure and (ARGV[at + 1] == 'SELECT' or string.find(failure, 'OOM', 1, true) or string.find(failure, 'READONLY', 1, true)
            or string.find(failure, 'MISCONF', 1, true) or string.find(failure, 'NOREPLICAS', 1, true)) then
            out[#out + 1] = 0
            out[#out + 1] = failure
            break
          end
          at = last + 1
        end
        return out
        """

    /// Carries out commits in order, each only if its message is still held. A stored SUCCESS is never overwritten by another state. What
    /// can't be carried out raises an error and leaves the message where it is.
    ///
    /// KEYS: unacked, unacked_index, started, dead, dead messages, their order, their size.
    /// ARGV: result expiry, result prefix, result database, own database, dead records kept, bytes of dead messages kept, attempts'
    /// prefix, attempts' lifetime; then per commit: operation, tag, number of writes and (key, 'S' success | 'O' other | 'A' announce
    /// only, record) each, number of publications and (list, message) each, and what the operation wants; an operation of two letters
    /// has an attempt's note, which wants a task id and a story. Returns a string, per commit 1 done, 2 done and an older dead message
    /// had to make room, 0 void; and after it per attempt that begins the list of the earlier ones.
    private static let commit = """
        \(effects)
        call('ZREM', KEYS[2], '')
        call('HDEL', KEYS[3], '')
        local operands = { F = 2, B = 2, P = 3, D = 3 }
        local at = 9
        local verdicts = {}
        while ARGV[at] do
          local op, tag, nw = string.sub(ARGV[at], 1, 1), ARGV[at + 1], tonumber(ARGV[at + 2])
          local note = string.sub(ARGV[at], 2)
          local verdict = '1'
          local writes = at + 3
          local np = tonumber(ARGV[writes + 3 * nw])
          local pubs = writes + 3 * nw + 1
          local rest = pubs + 2 * np
          -- Where the message stands: held, or as a start record.
          local place = call('HEXISTS', KEYS[1], tag) == 1 and KEYS[1] or call('HEXISTS', KEYS[3], tag) == 1 and KEYS[3]
          local entry = place and op ~= 'C' and op ~= 'K' and call('HGET', place, tag)
          if place then
            look(op, note, ARGV[rest + (operands[op] or 0)])
            for p = pubs, pubs + 2 * np - 1, 2 do lookAtList(ARGV[p]) end
            if op == 'F' or op == 'B' then lookAtList(ARGV[rest + 1]) end
            -- First what may be done twice: who fails behind it tries again.
            if nw > 0 then writeAll(writes, nw) end
            if note ~= '' then
              local operand = rest + (operands[op] or 0)
              attempt(note, ARGV[operand], ARGV[operand + 1])
            end
            for p = pubs, pubs + 2 * np - 1, 2 do call('LPUSH', ARGV[p], ARGV[p + 1]) end
            if op == 'F' or op == 'B' then
              call(op == 'F' and 'RPUSH' or 'LPUSH', ARGV[rest + 1], string.sub(entry, 2, -(tonumber(ARGV[rest]) + 1)))
            elseif op == 'P' then
              local clock = call('TIME')
              local due = string.format('%.6f', clock[1] + clock[2] / 1000000 + ARGV[rest])
              call('ZADD', ARGV[rest + 2], due, ARGV[rest + 1])
              call('ZADD', KEYS[2], due, ARGV[rest + 1])
              call('HSET', KEYS[1], ARGV[rest + 1], entry)
            elseif op == 'D' then
              verdict = setAside(ARGV[rest], ARGV[rest + 1], string.sub(entry, 2, -(tonumber(ARGV[rest + 2]) + 1)))
            elseif op == 'E' then
              call('HSET', KEYS[3], tag, entry)
            end
          end
          rest = rest + (operands[op] or 0) + (note ~= '' and 2 or 0)
          -- A start record stays one when the start is told again: the answer was lost.
          if place and op ~= 'K' and not (op == 'E' and place == KEYS[3]) then
            call('HDEL', place, tag)
            if place == KEYS[1] then call('ZREM', KEYS[2], tag) end
          end
          verdicts[#verdicts + 1] = place and verdict or '0'
          at = rest
        end
        answer[1] = table.concat(verdicts)
        return answer
        """

    /// Counts the lease on, and re-scores what is held. A few nodes watch all leases, since each that did would be told of each other one:
    /// whoever has a place among them keeps it by this, and whoever does not takes one that is free or has not been kept.
    ///
    /// KEYS: nodes, unacked_index, started, watchers. ARGV: incarnation, session, how many watch, seconds for which a place is kept, tags.
    /// Returns the tags that are not there any more, all leases (incarnation and counter in turn) or null for who does not watch, and 1 if
    /// there was none of ours.
    private static let renew = """
        redis.call('HDEL', KEYS[1], '')
        local lease = redis.call('HGET', KEYS[1], ARGV[1])
        local session, count = string.match(lease or '', '^(%d+)%.(%d+)$')
        if session and tonumber(session) > tonumber(ARGV[2]) then return redis.error_reply('ERR a later session has the lease') end
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '.' .. string.format('%d', (count or 0) + 1))
        local clock = redis.call('TIME')
        local seconds = clock[1] + clock[2] / 1000000
        local now = string.format('%.6f', seconds)
        redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%.6f', seconds - ARGV[4]))
        -- Kept by a clock that has been set back since.
        redis.call('ZREMRANGEBYSCORE', KEYS[4], string.format('%.6f', seconds + ARGV[4]), '+inf')
        local watches = redis.call('ZSCORE', KEYS[4], ARGV[1]) or redis.call('ZCARD', KEYS[4]) < tonumber(ARGV[3])
        if watches then redis.call('ZADD', KEYS[4], now, ARGV[1]) end
        local gone = {}
        for i = 5, #ARGV do
          -- The time is another one each time, so that no change means no entry: unless it is an early task that has started.
          if redis.call('ZADD', KEYS[2], 'XX', 'CH', now, ARGV[i]) == 0 and redis.call('HEXISTS', KEYS[3], ARGV[i]) == 0 then
            gone[#gone + 1] = ARGV[i]
          end
        end
        return { gone, watches and redis.call('HGETALL', KEYS[1]), lease and 0 or 1 }
        """

    /// Returns the incarnations that have no lease. KEYS: nodes. ARGV: incarnations.
    private static let leaseless = """
        local out = {}
        for _, incarnation in ipairs(ARGV) do
          if redis.call('HEXISTS', KEYS[1], incarnation) == 0 then out[#out + 1] = incarnation end
        end
        return out
        """

    /// Puts a dead incarnation's messages back to the front of their lists. KEYS: nodes, unacked, unacked_index.
    /// ARGV: incarnation, counter that it must still have ('': no lease, '*': whatever it is), key prefix, then in the order of pushing each
    /// tag and what stands behind the queue's name in its list's key. Returns how many went back: not those whose list is none.
    private static let restore = """
        if ARGV[2] ~= '*' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
        redis.call('HDEL', KEYS[2], '')
        redis.call('ZREM', KEYS[3], '')
        local count = 0
        for i = 4, #ARGV, 2 do
          local entry = redis.call('HGET', KEYS[2], ARGV[i])
          if entry then
            local queue = string.match(string.sub(entry, -400), ',"","([^"]*)"%]$')
            if queue then
              local list = ARGV[3] .. queue .. ARGV[i + 1]
              local kind = redis.call('TYPE', list).ok
              if kind == 'list' or kind == 'none' then
                redis.call('RPUSH', list, string.sub(entry, 2, -(#queue + 8)))
                redis.call('HDEL', KEYS[2], ARGV[i])
                redis.call('ZREM', KEYS[3], ARGV[i])
                count = count + 1
              end
            end
          else
            -- A place in the index without a message.
            redis.call('ZREM', KEYS[3], ARGV[i])
          end
        end
        return count
        """

    /// Takes a dead incarnation's start records over. KEYS: nodes, started.
    /// ARGV: incarnation, counter that it must still have (as above), the heir's incarnation and session, pairs of old and new tag.
    /// Returns new tag and entry in turn; null if the lease is not the heir's. An entry of another form than ours is a message of no queue
    /// from then on, so that it can be set aside.
    private static let inherit = """
        \(leads)
        if not leads(KEYS[1], ARGV[3], ARGV[4]) then return false end
        if ARGV[2] ~= '*' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return {} end
        redis.call('HDEL', KEYS[2], '')
        local out = {}
        for i = 5, #ARGV, 2 do
          local entry = redis.call('HGET', KEYS[2], ARGV[i])
          if entry then
            if not string.find(string.sub(entry, 1, 1) .. string.sub(entry, -400), '^%[.*,"","[^"]*"%]$') then
              entry = '[' .. entry .. ',"",""]'
            end
            redis.call('HSET', KEYS[2], ARGV[i + 1], entry)
            redis.call('HDEL', KEYS[2], ARGV[i])
            out[#out + 1] = ARGV[i + 1]
            out[#out + 1] = entry
          end
        end
        return out
        """

    /// Ends a lease whose holder is dead. KEYS: nodes. ARGV: incarnation, counter that it must still have.
    private static let bury = """
        if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
        return 0
        """

    /// Stores ids as revoked, each under a mark that is the time in microseconds and still higher than all before it. An id that is revoked
    /// again gets a new one, and so is kept as long as one that is revoked now; but not within seconds, since every node that hears of an
    /// order stores it.
    ///
    /// KEYS: revoked. ARGV: lifetime in microseconds, how many are kept, microseconds for which a mark is not renewed, ids.
    static let revoke = """
        redis.call('ZREM', KEYS[1], '')
        local clock = redis.call('TIME')
        local now = clock[1] * 1000000 + clock[2]
        local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
        local mark = tonumber(newest[2] or 0)
        for i = 4, #ARGV do
          local old = redis.call('ZSCORE', KEYS[1], ARGV[i])
          if not old or now - old > tonumber(ARGV[3]) then
            mark = math.max(mark + 1, now)
            redis.call('ZADD', KEYS[1], string.format('%.0f', mark), ARGV[i])
          end
        end
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[1]))
        redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[2])
        return 0
        """
}
