/// What an operator does to queues, each one atomic step for every other client of the server.
enum RedisQueueScripts {
    /// Bytes after which a batch ends: every message of it passes through the script.
    static let batchBytes = 16 << 20
    /// A message that is longer is not looked into for its age.
    static let longestNext = 1 << 16

    /// How a queue stands. KEYS: its lists in the order of service, its parked set. ARGV: longest next message.
    /// Returns how many wait, how many are parked, and the next message ('' if it is too long, or there is none).
    static let survey = """
        local waiting, message = 0, ''
        for i = 1, #KEYS - 1 do
          local length = redis.pcall('LLEN', KEYS[i])
          if type(length) == 'number' then
            if waiting == 0 and length > 0 then message = redis.call('LINDEX', KEYS[i], -1) end
            waiting = waiting + length
          end
        end
        if #message > tonumber(ARGV[1]) then message = '' end
        local parked = redis.pcall('ZCARD', KEYS[#KEYS])
        return {waiting, type(parked) == 'number' and parked or 0, message}
        """

    /// One page of what is held. KEYS: unacked, unacked_index. ARGV: cursor, page size.
    /// Returns the next cursor, then tag and queue in turn: a record ends with the queue, as a JSON string in an array.
    static let held = """
        local page = redis.call('ZSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
        local out = {page[1]}
        for i = 1, #page[2], 2 do
          local tag = page[2][i]
          if string.sub(tag, 1, 7) ~= 'parked-' then
            local entry = redis.call('HGET', KEYS[1], tag)
            local queue = entry and string.match(string.sub(entry, -600), ', *"([^"]*)"%]$')
            if queue then
              out[#out + 1] = tag
              out[#out + 1] = queue
            end
          end
        end
        return out
        """

    /// Empties lists. KEYS: the lists. Returns how many messages there were.
    static let purge = """
        local count = 0
        for i = 1, #KEYS do count = count + redis.call('LLEN', KEYS[i]) end
        for i = 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
        return count
        """

    /// Removes parked messages. KEYS: the queue's parked set, unacked, unacked_index. ARGV: how many at most.
    /// Returns how many names were in the batch, and how many messages went.
    static let purgeParked = """
        local tags = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
        local count = 0
        for _, tag in ipairs(tags) do
          count = count + redis.call('HDEL', KEYS[2], tag)
          redis.call('ZREM', KEYS[3], tag)
          redis.call('ZREM', KEYS[1], tag)
        end
        return {#tags, count}
        """

    /// Moves waiting messages to the end of other lists. KEYS: the lists of one queue, then as many of the other.
    /// ARGV: how many at most, bytes after which to stop. Returns how many were moved.
    static let move = """
        local left, room, n, count = tonumber(ARGV[1]), tonumber(ARGV[2]), #KEYS / 2, 0
        -- A wrong type here must end the script before anything is moved.
        for i = 1, #KEYS do redis.call('LLEN', KEYS[i]) end
        for i = 1, n do
          local message = true
          while message and left > 0 and room > 0 do
            message = redis.call('LMOVE', KEYS[i], KEYS[n + i], 'RIGHT', 'LEFT')
            if message then
              left, room, count = left - 1, room - #message, count + 1
            end
          end
        end
        return count
        """

    /// Which ids have a message. KEYS: the messages. ARGV: ids.
    static let presence = """
        local out = {}
        for i = 1, #ARGV do out[i] = redis.call('HEXISTS', KEYS[1], ARGV[i]) end
        return out
        """

    /// Takes a record out of the dead-letter place and, if there is a list to put it to, its message back to work.
    /// KEYS: dead, dead messages, their order, their size, then the list and the task's attempts, if there are. ARGV: id, record.
    /// Returns 1; 0 if there is no such record; -1, and does nothing, if its message is wanted and not there.
    static let leave = """
        -- Whoever has written may go on writing when the server is full: this only frees, or moves.
        redis.call('HDEL', KEYS[2], '')
        local message = redis.call('HGET', KEYS[2], ARGV[1])
        if KEYS[5] and not message then return -1 end
        -- A wrong type, or a right that is lacked, must end the script before anything is changed.
        redis.call('LREM', KEYS[3], -1, '')
        redis.call('DECRBY', KEYS[4], 0)
        redis.call('LREM', KEYS[1], -1, '')
        if KEYS[6] then redis.call('DEL', KEYS[6]) end
        -- Whose message is kept has its record, too.
        if KEYS[5] then redis.call('LPUSH', KEYS[5], message) end
        if redis.call('LREM', KEYS[1], -1, ARGV[2]) == 0 and not KEYS[5] then return 0 end
        if redis.call('LREM', KEYS[3], -1, ARGV[1]) > 0 and message then redis.call('DECRBY', KEYS[4], #message) end
        redis.call('HDEL', KEYS[2], ARGV[1])
        return 1
        """

    /// Moves parked messages. KEYS: the parked sets of both queues, unacked. ARGV: how many at most, bytes after which to stop, and how
    /// a record of the one queue and of the other ends. Returns how many were moved, and how many names without a message went.
    static let moveParked = """
        local room, count, stale = tonumber(ARGV[2]), 0, 0
        redis.call('ZREM', KEYS[1], '')
        for _, tag in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
          local entry = room > 0 and redis.call('HGET', KEYS[3], tag)
          if room > 0 and not entry then
            redis.call('ZREM', KEYS[1], tag)
            stale = stale + 1
          elseif entry and string.sub(entry, -#ARGV[3]) == ARGV[3] then
            -- As it is, to see whether it can be written: what comes into the other set must have its ending.
            redis.call('HSET', KEYS[3], tag, entry)
            redis.call('ZADD', KEYS[2], redis.call('ZSCORE', KEYS[1], tag), tag)
            redis.call('HSET', KEYS[3], tag, string.sub(entry, 1, -(#ARGV[3] + 1)) .. ARGV[4])
            redis.call('ZREM', KEYS[1], tag)
            room, count = room - #entry, count + 1
          end
        end
        return {count, stale}
        """
}
