/// The scripts of `RedisSweep`. The clock is the server's, as for all that we write into `unacked_index`.
extension RedisScripts {
    /// Tags that are overdue, the oldest first. KEYS: unacked_index. ARGV: visibility time-out, how many to pass by, how many to return.
    static let overdue = """
        local clock = redis.call('TIME')
        local latest = string.format('%.6f', clock[1] + clock[2] / 1000000 - ARGV[1])
        return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', latest, 'LIMIT', ARGV[2], ARGV[3])
        """

    /// Puts a message back to the front of its lists, if it is overdue still and its entry the one that was read.
    /// KEYS: unacked, unacked_index, lists. ARGV: visibility time-out, tag, the entry ('': none), the message as it goes back.
    /// Returns 1 if it did.
    static let rescue = """
        local clock = redis.call('TIME')
        local score = redis.call('ZSCORE', KEYS[2], ARGV[2])
        if not score or tonumber(score) > clock[1] + clock[2] / 1000000 - ARGV[1] then return 0 end
        local entry = redis.call('HGET', KEYS[1], ARGV[2])
        if (entry or '') ~= ARGV[3] then return 0 end
        redis.call('HDEL', KEYS[1], '')
        redis.call('ZREM', KEYS[2], '')
        -- Before anything is pushed: all of its lists get it, or none.
        for i = 3, #KEYS do
          local kind = redis.call('TYPE', KEYS[i]).ok
          if kind ~= 'list' and kind ~= 'none' then return 0 end
          redis.call('RPOP', KEYS[i], 0)
        end
        for i = 3, #KEYS do redis.call('RPUSH', KEYS[i], ARGV[4]) end
        redis.call('HDEL', KEYS[1], ARGV[2])
        redis.call('ZREM', KEYS[2], ARGV[2])
        return entry and 1 or 0
        """

    /// Gives kombu's mutex up, if it is ours still. KEYS: the mutex. ARGV: our token.
    static let unlock = """
        if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
        return 0
        """

    /// Enters held messages into the index that have no place there: with the time of now, or as overdue if their holder has no lease.
    /// Its holder could not renew it, and nobody would find it. KEYS: unacked, unacked_index, nodes. Returns how many.
    static let reindex = """
        if redis.call('HLEN', KEYS[1]) <= redis.call('ZCARD', KEYS[2]) then return 0 end
        local now, count = redis.call('TIME')[1], 0
        redis.call('ZREM', KEYS[2], '')
        for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
          if not redis.call('ZSCORE', KEYS[2], tag) then
            local owner = string.match(tag, '^(%x+):%d+:%d+$')
            redis.call('ZADD', KEYS[2], owner and redis.call('HEXISTS', KEYS[3], owner) == 0 and 0 or now, tag)
            count = count + 1
          end
        end
        return count
        """
}
