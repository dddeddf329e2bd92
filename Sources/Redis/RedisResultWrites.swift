import CoppiceShared

/// How outcomes are written by scripts: in one step with a commit, or alone.
public enum RedisResultWrites {
    /// A function of Lua: stores a record and announces it. `kind` is S for a success, O for another state, which never overwrites a
    /// success, and A for what is announced only.
    public static let function = """
        local function write(key, kind, record, ttl)
          if kind == 'O' and redis.call('GETRANGE', key, 0, 19) == '{"status": "SUCCESS"' then return end
          if kind ~= 'A' then redis.call('SETEX', key, ttl, record) end
          redis.call('PUBLISH', key, record)
        end
        """
}

extension RedisCommand {
    /// Appends what the function wants of a write, without the key's prefix: task id, kind, record.
    public mutating func append(_ write: ResultWrite) {
        append(write.taskID)
        append(write.reach == .announce ? "A" : write.state == .success ? "S" : "O")
        append(write.record)
    }
}
