/// The scripts in which a message changes hands. Each is one atomic step for every other client of the server.
///
/// A message that is held stands in kombu's `unacked` hash as `[<message>,"","<queue>"]`, put together without being parsed, under a
/// tag `<incarnation>:<sequence>:<priority step>`, and in `unacked_index` with the time of the server's clock.
enum RedisScripts {
    enum Name: CaseIterable { case take, commit, renew, restore, inherit, bury }

    static func text(_ name: Name) -> String {
        switch name {
        case .take: take
        case .commit: commit
        case .renew: renew
        case .restore: restore
        case .inherit: inherit
        case .bury: bury
        }
    }

    /// Pops up to a number of messages, those whose time has come first, and records them as held.
    ///
    /// KEYS: unacked, unacked_index, a parked set per queue, then the lists by priority and within it by queue.
    /// ARGV: count, tag prefix, first sequence number, seconds before its time at which a message may be taken, number of queues, a
    /// record's ending per queue, the priority steps.
    /// Returns list number (counted from 1) and message, in turn.
    private static let take = """
        local want, prefix, sequence, horizon, nq = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
        -- A wrong type here must end the script before anything is popped.
        redis.call('HLEN', KEYS[1])
        redis.call('ZCARD', KEYS[2])
        local clock = redis.call('TIME')
        local now = clock[1] + clock[2] / 1000000
        local out, entries, scores, n = {}, {}, {}, 0
        local stamp = string.format('%.6f', now)
        local function hold(list, message, ending, step)
          local tag = prefix .. string.format('%d', sequence + n) .. ':' .. step
          entries[2 * n + 1], entries[2 * n + 2] = tag, '[' .. message .. ending
          scores[2 * n + 1], scores[2 * n + 2] = stamp, tag
          out[2 * n + 1], out[2 * n + 2] = list, message
          n = n + 1
        end
        for q = 1, nq do
          local due = redis.call('ZRANGEBYSCORE', KEYS[2 + q], '-inf', string.format('%.6f', now + horizon), 'LIMIT', 0, want - n)
          for _, tag in ipairs(due) do
            local entry = redis.call('HGET', KEYS[1], tag)
            redis.call('ZREM', KEYS[2 + q], tag)
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
          local base = 2 + nq + (s - 1) * nq
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

    /// Carries out commits in order, each only if its message is still held. A stored SUCCESS is never overwritten by another state.
    ///
    /// KEYS: unacked, unacked_index, started, dead, dead messages.
    /// ARGV: result expiry, result prefix, result database, own database, dead records kept, dead messages kept; then per commit:
    /// operation, tag, number of writes and (key, 'S' success | 'O' other | 'A' announce only, record) each, number of publications and
    /// (list, message) each, and what the operation wants. Returns a string of 1 and 0, one per commit.
    private static let commit = """
        local ttl, prefix, rdb, db = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
        local at = 7
        local verdicts = {}
        local call = redis.call
        while ARGV[at] do
          local op, tag, nw = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
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
                call('HSET', KEYS[5], ARGV[rest], string.sub(entry, 2, -(tonumber(ARGV[rest + 2]) + 1)))
                call('LPUSH', KEYS[4], ARGV[rest + 1])
                call('LTRIM', KEYS[4], 0, ARGV[5] - 1)
                local old = call('LINDEX', KEYS[4], ARGV[6])
                if old then call('HDEL', KEYS[5], string.sub(old, 17, 48)) end
              end
              rest = rest + 3
            end
          end
          if held then
            if nw > 0 and rdb ~= db then call('SELECT', rdb) end
            for w = writes, writes + 3 * nw - 1, 3 do
              local key, kind, record = prefix .. ARGV[w], ARGV[w + 1], ARGV[w + 2]
              local final = kind == 'O' and call('GETRANGE', key, 0, 19) == '{"status": "SUCCESS"'
              if not final then
                if kind ~= 'A' then call('SETEX', key, ttl, record) end
                call('PUBLISH', key, record)
              end
            end
            if nw > 0 and rdb ~= db then call('SELECT', db) end
            for p = pubs, pubs + 2 * np - 1, 2 do call('LPUSH', ARGV[p], ARGV[p + 1]) end
          end
          verdicts[#verdicts + 1] = held and '1' or '0'
          at = rest
        end
        return table.concat(verdicts)
        """

    /// Counts the lease on, and re-scores what is held. KEYS: nodes, unacked_index. ARGV: incarnation, tags.
    /// Returns all leases: incarnation and counter in turn.
    private static let renew = """
        redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
        local clock = redis.call('TIME')
        local now = string.format('%.6f', clock[1] + clock[2] / 1000000)
        for i = 2, #ARGV do redis.call('ZADD', KEYS[2], 'XX', now, ARGV[i]) end
        return redis.call('HGETALL', KEYS[1])
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
}
