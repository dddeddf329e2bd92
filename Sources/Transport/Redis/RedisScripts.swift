import CoppiceRedis

/// The scripts in which a message changes hands. Each is one atomic step for every other client of the server.
///
/// A message that is held stands in kombu's `unacked` hash as `[<message>,"","<queue>"]`, put together without being parsed, under a
/// tag `<incarnation>:<sequence>:<priority step>`, and in `unacked_index` with the time of the server's clock.
///
/// A server at its `maxmemory` refuses a script's first write if that may take memory, and none after the first. So they begin with one
/// that takes none: a Redis that is full of messages must let them be worked off.
///
/// What a script has written stays when its next command fails. So it looks first whether it can go through, and removes a message last.
enum RedisScripts {
    enum Name {
        case take, commit, probe, renew, restore, inherit, bury, claim, record, check, overdue, rescue, unlock

        /// What `RedisMember` wants, and `RedisSweep` besides.
        static let member: [Name] = [.renew, .restore, .inherit, .bury]
        static let sweep: [Name] = [.overdue, .rescue, .unlock]
    }

    static func text(_ name: Name) -> String {
        switch name {
        case .take: take
        case .commit: commit
        case .probe: probe
        case .renew: renew
        case .restore: restore
        case .inherit: inherit
        case .bury: bury
        case .claim: RedisLedgerScripts.claim
        case .record: RedisLedgerScripts.record
        case .check: RedisLedgerScripts.check
        case .overdue: overdue
        case .rescue: rescue
        case .unlock: unlock
        }
    }

    /// Whether an incarnation's lease is that of one of its sessions.
    private static let leads = """
        local function leads(nodes, incarnation, session)
          return string.match(redis.call('HGET', nodes, incarnation) or '', '^(%d+)%.') == session
        end
        """

    /// Pops up to a number of messages, those whose time has come first, and records them as held.
    ///
    /// KEYS: unacked, unacked_index, revoked, nodes, a parked set per queue, then the lists by priority and within it by queue.
    /// ARGV: count, incarnation, first sequence number, seconds before its time at which a message may be taken, numbers of queues and of
    /// priority steps, whether a queue is emptied before the next ('strict') or all take turns (''), a record's ending per queue, the
    /// steps, session.
    /// Returns the newest revocation's mark, then list number (counted from 1) and message, in turn; null if the lease is not this
    /// session's: what is taken under no lease, or behind a later session's back, nobody would find.
    private static let take = """
        \(leads)
        local want, prefix, sequence, horizon = tonumber(ARGV[1]), ARGV[2] .. ':', tonumber(ARGV[3]), tonumber(ARGV[4])
        local nq, ns, strict = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == 'strict'
        if not leads(KEYS[4], ARGV[2], ARGV[8 + nq + ns]) then return false end
        -- A wrong type here must end the script before anything is popped.
        redis.call('HLEN', KEYS[1])
        redis.call('ZCARD', KEYS[2])
        for q = 1, nq do redis.call('ZCARD', KEYS[4 + q]) end
        local newest = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')
        local clock = redis.call('TIME')
        local now = clock[1] + clock[2] / 1000000
        local out, entries, scores, n = { newest[2] or '' }, {}, {}, 0
        local stamp = string.format('%.6f', now)
        local function hold(list, message, ending, step)
          local tag = prefix .. string.format('%d', sequence + n) .. ':' .. step
          entries[2 * n + 1], entries[2 * n + 2] = tag, '[' .. message .. ending
          scores[2 * n + 1], scores[2 * n + 2] = stamp, tag
          out[2 * n + 2], out[2 * n + 3] = list, message
          n = n + 1
        end
        for q = 1, nq do
          local due = redis.call('ZRANGEBYSCORE', KEYS[4 + q], '-inf', string.format('%.6f', now + horizon), 'LIMIT', 0, want - n)
          for _, tag in ipairs(due) do
            local entry = redis.call('HGET', KEYS[1], tag)
            redis.call('ZREM', KEYS[4 + q], tag)
            redis.call('ZREM', KEYS[2], tag)
            if entry then
              redis.call('HDEL', KEYS[1], tag)
              -- It may have been parked with other steps than are ours.
              local step, place = tonumber(string.match(tag, ':(%d+)$')), 1
              for s = 1, ns do if tonumber(ARGV[7 + nq + s]) <= step then place = s end end
              hold((place - 1) * nq + q, string.sub(entry, 2, -(#ARGV[7 + q] + 1)), ARGV[7 + q], ARGV[7 + nq + place])
            end
          end
        end
        for s = 1, ns do
          local step = ARGV[7 + nq + s]
          local base = 4 + nq + (s - 1) * nq
          if nq == 1 or strict then
            for q = 1, nq do
              if n < want then
                -- Protected: a key of another type must not lose what was popped before it.
                local messages = redis.pcall('RPOP', KEYS[base + q], want - n)
                if messages and not messages.err then
                  for _, message in ipairs(messages) do hold((s - 1) * nq + q, message, ARGV[7 + q], step) end
                end
              end
            end
          else
            local more = true
            while more and n < want do
              more = false
              for q = 1, nq do
                local message = n < want and redis.pcall('RPOP', KEYS[base + q])
                if type(message) == 'string' then
                  more = true
                  hold((s - 1) * nq + q, message, ARGV[7 + q], step)
                end
              end
            end
          end
        end
        for from = 1, 2 * n, 512 do
          local to = math.min(from + 511, 2 * n)
          redis.call('HSET', KEYS[1], unpack(entries, from, to))
          redis.call('ZADD', KEYS[2], unpack(scores, from, to))
        end
        return out
        """

    /// What commits and a ledger's entries have in common; their keys and first eight arguments are the same.
    static let effects = """
        local call = redis.call
        local answer = { '' }
        call('HDEL', KEYS[1], '')
        -- Whether a step can go through, as far as the kinds of its keys go; an error if not.
        local function look(op, note, task)
          if note ~= '' then call('LLEN', ARGV[7] .. task) end
          if op == 'D' then
            call('HLEN', KEYS[5])
            call('LLEN', KEYS[4])
            call('LLEN', KEYS[6])
            call('INCRBY', KEYS[7], 0)
          end
        end
        -- To the dead-letter place; tells whether an older message had to make room.
        local function setAside(id, record, message)
          local verdict = '1'
          call('HSET', KEYS[5], id, message)
          call('LPUSH', KEYS[6], id)
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

    /// Writes one record, as a commit would, to see whether it can be; and removes it. Keys and arguments are those of commits and of one write.
    private static let probe = """
        \(effects)
        writeAll(10, 1)
        if ARGV[3] ~= ARGV[4] then call('SELECT', ARGV[3]) end
        call('DEL', ARGV[2] .. ARGV[10])
        return 0
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
        call('ZCARD', KEYS[2])
        call('HLEN', KEYS[3])
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
            for p = pubs, pubs + 2 * np - 1, 2 do call('LLEN', ARGV[p]) end
            if op == 'F' or op == 'B' then call('LLEN', ARGV[rest + 1]) end
            if nw > 0 then writeAll(writes, nw) end
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
          rest = rest + (operands[op] or 0)
          if note ~= '' then
            if place then attempt(note, ARGV[rest], ARGV[rest + 1]) end
            rest = rest + 2
          end
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

    /// Counts the lease on, and re-scores what is held. KEYS: nodes, unacked_index, started. ARGV: incarnation, session, tags.
    /// Returns the tags that are not there any more, all leases (incarnation and counter in turn), and 1 if there was none of ours.
    private static let renew = """
        redis.call('HDEL', KEYS[1], '')
        local lease = redis.call('HGET', KEYS[1], ARGV[1])
        local session, count = string.match(lease or '', '^(%d+)%.(%d+)$')
        if session and tonumber(session) > tonumber(ARGV[2]) then return redis.error_reply('ERR a later session has the lease') end
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '.' .. string.format('%d', (count or 0) + 1))
        local clock = redis.call('TIME')
        local now = string.format('%.6f', clock[1] + clock[2] / 1000000)
        local gone = {}
        for i = 3, #ARGV do
          -- The time is another one each time, so that no change means no entry: unless it is an early task that has started.
          if redis.call('ZADD', KEYS[2], 'XX', 'CH', now, ARGV[i]) == 0 and redis.call('HEXISTS', KEYS[3], ARGV[i]) == 0 then
            gone[#gone + 1] = ARGV[i]
          end
        end
        return { gone, redis.call('HGETALL', KEYS[1]), lease and 0 or 1 }
        """

    /// Puts a dead incarnation's messages back to the front of their lists. KEYS: nodes, unacked, unacked_index.
    /// ARGV: incarnation, counter that it must still have ('': no lease, '*': whatever it is), key prefix, then in the order of pushing each
    /// tag and what stands behind the queue's name in its list's key. Returns how many went back: not those whose list is none.
    private static let restore = """
        if ARGV[2] ~= '*' and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
        redis.call('HDEL', KEYS[2], '')
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
        local out = {}
        for i = 5, #ARGV, 2 do
          local entry = redis.call('HGET', KEYS[2], ARGV[i])
          if entry then
            if not string.find(string.sub(entry, 1, 1) .. string.sub(entry, -400), '^%[.*,"","[^"]*"%]$') then
              entry = '[' .. entry .. ',"",""]'
            end
            redis.call('HDEL', KEYS[2], ARGV[i])
            redis.call('HSET', KEYS[2], ARGV[i + 1], entry)
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

    /// Stores ids as revoked, each under a mark that is the time in microseconds and still higher than all before it.
    /// KEYS: revoked. ARGV: lifetime in microseconds, how many are kept, ids.
    static let revoke = """
        redis.call('ZREM', KEYS[1], '')
        local clock = redis.call('TIME')
        local now = clock[1] * 1000000 + clock[2]
        local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
        local mark = tonumber(newest[2] or 0)
        for i = 3, #ARGV do
          mark = math.max(mark + 1, now)
          redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', mark), ARGV[i])
        end
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[1]))
        redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[2])
        return 0
        """
}
