/// The scripts in which a message changes hands. Each is one atomic step for every other client of the server.
///
/// A message that is held stands in kombu's `unacked` hash as `[<message>,"","<queue>"]`, put together without being parsed, under a
/// tag `<incarnation>:<sequence>:<priority step>`, and in `unacked_index` with the time of the server's clock.
///
/// A server at its `maxmemory` refuses a script's first write if that may take memory, and none after the first. So those that settle
/// begin with one that takes none: a Redis that is full of messages must let them be worked off.
enum RedisScripts {
    enum Name {
        case take, commit, renew, restore, inherit, bury, claim, record, check, overdue, rescue, unlock

        /// What a broker's session wants, and what a ledger beside another broker does.
        static let broker: [Name] = [.take, .commit, .renew, .restore, .inherit, .bury, .overdue, .rescue, .unlock]
        static let ledger: [Name] = [.claim, .record, .check, .renew, .restore, .inherit, .bury]
    }

    static func text(_ name: Name) -> String {
        switch name {
        case .take: take
        case .commit: commit
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

    /// Pops up to a number of messages, those whose time has come first, and records them as held.
    ///
    /// KEYS: unacked, unacked_index, revoked, a parked set per queue, then the lists by priority and within it by queue.
    /// ARGV: count, tag prefix, first sequence number, seconds before its time at which a message may be taken, number of queues, a
    /// record's ending per queue, the priority steps.
    /// Returns the newest revocation's mark, then list number (counted from 1) and message, in turn.
    private static let take = """
        local want, prefix, sequence, horizon, nq = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
        -- A wrong type here must end the script before anything is popped.
        redis.call('HLEN', KEYS[1])
        redis.call('ZCARD', KEYS[2])
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
          local due = redis.call('ZRANGEBYSCORE', KEYS[3 + q], '-inf', string.format('%.6f', now + horizon), 'LIMIT', 0, want - n)
          for _, tag in ipairs(due) do
            local entry = redis.call('HGET', KEYS[1], tag)
            redis.call('ZREM', KEYS[3 + q], tag)
            redis.call('ZREM', KEYS[2], tag)
            if entry then
              redis.call('HDEL', KEYS[1], tag)
              local step = string.match(tag, ':(%d+)$')
              local place = 1
              for s = 1, 4 do if ARGV[5 + nq + s] == step then place = s end end
              hold((place - 1) * nq + q, string.sub(entry, 2, -(#ARGV[5 + q] + 1)), ARGV[5 + q], step)
            end
          end
        end
        for s = 1, 4 do
          local step = ARGV[5 + nq + s]
          local base = 3 + nq + (s - 1) * nq
          if nq == 1 then
            if n < want then
              -- Protected: a key of another type must not lose what was popped before it.
              local messages = redis.pcall('RPOP', KEYS[base + 1], want - n)
              if messages and not messages.err then
                for _, message in ipairs(messages) do hold((s - 1) * nq + 1, message, ARGV[6], step) end
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
                  hold((s - 1) * nq + q, message, ARGV[5 + q], step)
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

    /// What commits and a ledger's entries have in common; their first ten arguments and keys are the same.
    static let effects = """
        local call = redis.call
        local answer = { '' }
        call('HDEL', KEYS[1], '')
        -- To the dead-letter place; tells whether an older message had to make room.
        local function setAside(id, record, message)
          local verdict = '1'
          call('HSET', KEYS[5], id, message)
          call('LPUSH', KEYS[6], id)
          call('LPUSH', KEYS[4], record)
          call('LTRIM', KEYS[4], 0, ARGV[5] - 1)
          local size = call('INCRBY', KEYS[7], #message)
          while size > tonumber(ARGV[6]) do
            local old = call('RPOP', KEYS[6])
            if not old then break end
            size = call('DECRBY', KEYS[7], call('HSTRLEN', KEYS[5], old))
            call('HDEL', KEYS[5], old)
            verdict = '2'
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
        local function write(first, count, ttl, prefix, rdb, db)
          if rdb ~= db then call('SELECT', rdb) end
          for w = first, first + 3 * count - 1, 3 do
            local key, kind, record = prefix .. ARGV[w], ARGV[w + 1], ARGV[w + 2]
            local final = kind == 'O' and call('GETRANGE', key, 0, 19) == '{"status": "SUCCESS"'
            if not final then
              if kind ~= 'A' then call('SETEX', key, ttl, record) end
              call('PUBLISH', key, record)
            end
          end
          if rdb ~= db then call('SELECT', db) end
        end
        """

    /// Carries out commits in order, each only if its message is still held. A stored SUCCESS is never overwritten by another state.
    ///
    /// KEYS: unacked, unacked_index, started, dead, dead messages, their order, their size.
    /// ARGV: result expiry, result prefix, result database, own database, dead records kept, bytes of dead messages kept, attempts'
    /// prefix, attempts' lifetime; then per commit: operation, tag, number of writes and (key, 'S' success | 'O' other | 'A' announce
    /// only, record) each, number of publications and (list, message) each, and what the operation wants; an operation of two letters
    /// has an attempt's note, which wants a task id and a story. Returns a string, per commit 1 done, 2 done and an older dead message
    /// had to make room, 0 void; and after it per attempt that begins the list of the earlier ones.
    private static let commit = """
        \(effects)
        local ttl, prefix, rdb, db = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
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
          local held = false
          if op == 'C' then
            if call('HDEL', KEYS[1], tag) == 1 then
              call('ZREM', KEYS[2], tag)
              held = true
            else
              held = call('HDEL', KEYS[3], tag) == 1
            end
          elseif op == 'E' then
            local entry = call('HGET', KEYS[1], tag)
            if entry then
              call('HDEL', KEYS[1], tag)
              call('ZREM', KEYS[2], tag)
              call('HSET', KEYS[3], tag, entry)
              held = true
            end
          elseif op == 'K' then
            held = call('HEXISTS', KEYS[1], tag) == 1 or call('HEXISTS', KEYS[3], tag) == 1
          else
            local entry = call('HGET', KEYS[1], tag)
            if entry then
              held = true
              call('HDEL', KEYS[1], tag)
              call('ZREM', KEYS[2], tag)
            else
              entry = call('HGET', KEYS[3], tag)
              if entry then
                held = true
                call('HDEL', KEYS[3], tag)
              end
            end
            if op == 'F' or op == 'B' then
              if held then
                local message = string.sub(entry, 2, -(tonumber(ARGV[rest]) + 1))
                call(op == 'F' and 'RPUSH' or 'LPUSH', ARGV[rest + 1], message)
              end
              rest = rest + 2
            elseif op == 'P' then
              if held then
                call('HSET', KEYS[1], ARGV[rest + 1], entry)
                call('ZADD', KEYS[2], ARGV[rest], ARGV[rest + 1])
                call('ZADD', ARGV[rest + 2], ARGV[rest], ARGV[rest + 1])
              end
              rest = rest + 3
            elseif op == 'D' then
              if held then
                verdict = setAside(ARGV[rest], ARGV[rest + 1], string.sub(entry, 2, -(tonumber(ARGV[rest + 2]) + 1)))
              end
              rest = rest + 3
            end
          end
          if note ~= '' then
            if held then attempt(note, ARGV[rest], ARGV[rest + 1]) end
            rest = rest + 2
          end
          if held then
            if nw > 0 then write(writes, nw, ttl, prefix, rdb, db) end
            for p = pubs, pubs + 2 * np - 1, 2 do
              call(string.sub(ARGV[p], 1, 1) == 'P' and 'PUBLISH' or 'LPUSH', string.sub(ARGV[p], 2), ARGV[p + 1])
            end
          end
          verdicts[#verdicts + 1] = held and verdict or '0'
          at = rest
        end
        answer[1] = table.concat(verdicts)
        return answer
        """

    /// Counts the lease on, and re-scores what is held. KEYS: nodes, unacked_index, started. ARGV: incarnation, tags.
    /// Returns the tags that are not there any more, and all leases: incarnation and counter in turn.
    private static let renew = """
        redis.call('HDEL', KEYS[1], '')
        redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
        local clock = redis.call('TIME')
        local now = string.format('%.6f', clock[1] + clock[2] / 1000000)
        local gone = {}
        for i = 2, #ARGV do
          -- The time is another one each time, so that no change means no entry: unless it is an early task that has started.
          if redis.call('ZADD', KEYS[2], 'XX', 'CH', now, ARGV[i]) == 0 and redis.call('HEXISTS', KEYS[3], ARGV[i]) == 0 then
            gone[#gone + 1] = ARGV[i]
          end
        end
        return { gone, redis.call('HGETALL', KEYS[1]) }
        """

    /// Puts a dead incarnation's messages back to the front of their lists. KEYS: nodes, unacked, unacked_index.
    /// ARGV: incarnation, counter that it must still have ('': any), separator, key prefix, tags in the order of pushing. Returns how many were there.
    private static let restore = """
        if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
        local count = 0
        for i = 5, #ARGV do
          local entry = redis.call('HGET', KEYS[2], ARGV[i])
          if entry then
            local queue = string.match(string.sub(entry, -400), ',"","([^"]*)"%]$')
            local step = string.match(ARGV[i], ':(%d+)$')
            if queue and step then
              local list = ARGV[4] .. (step == '0' and queue or queue .. ARGV[3] .. step)
              redis.call('RPUSH', list, string.sub(entry, 2, -(#queue + 8)))
              redis.call('HDEL', KEYS[2], ARGV[i])
              redis.call('ZREM', KEYS[3], ARGV[i])
              count = count + 1
            end
          end
        end
        return count
        """

    /// Takes a dead incarnation's start records over. KEYS: nodes, started.
    /// ARGV: incarnation, counter that it must still have ('': any), pairs of old and new tag. Returns new tag and entry in turn.
    private static let inherit = """
        if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {} end
        local out = {}
        for i = 3, #ARGV, 2 do
          local entry = redis.call('HGET', KEYS[2], ARGV[i])
          if entry then
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
