/// The scripts in which claims change hands; what they have in common with commits stands in `RedisScripts`.
enum RedisLedgerScripts {
    /// Enters messages of another broker under an incarnation's marks.
    ///
    /// KEYS: nodes, revoked. ARGV: incarnation, claims' prefix, seconds for which a claim is remembered, then per message its name, mark
    /// and whether it was delivered before. Returns the newest revocation's mark, then per message: O ours, D another of the same name
    /// is in somebody's hands, T taken, F finished, or the mark under which it was ours before.
    static let claim = """
        local out = { redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '' }
        for i = 4, #ARGV, 3 do
          local key, mark, again = ARGV[2] .. ARGV[i], ARGV[i + 1], ARGV[i + 2] == '1'
          local now = redis.call('GET', key)
          local isFinished = now and string.sub(now, 1, 9) == 'finished '
          local owner = now and string.match(now, '^(%x+):')
          local verdict = 'O'
          if again and isFinished then
            verdict = 'F'
          elseif again and owner == ARGV[1] then
            verdict = now
          elseif owner and redis.call('HEXISTS', KEYS[1], owner) == 1 then
            verdict = again and 'T' or 'D'
          end
          if verdict == 'O' then redis.call('SET', key, mark, 'EX', ARGV[3]) end
          if verdict == 'D' then redis.call('SET', key .. '#' .. mark, mark, 'EX', ARGV[3]) end
          out[#out + 1] = verdict
        end
        return out
        """

    /// Carries out a ledger's entries in order, each only if its claim still stands. Keys, arguments and answer as for commits, but
    /// that there are no publications, and that every operation wants first its claim's key and the seconds for which a finished one
    /// is remembered. K keep, S start, C finish, X release, D set aside.
    static let record = """
        \(RedisScripts.effects)
        local ttl, prefix, rdb, db = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
        local at = 9
        local verdicts = {}
        while ARGV[at] do
          local op, mark, nw = string.sub(ARGV[at], 1, 1), ARGV[at + 1], tonumber(ARGV[at + 2])
          local note = string.sub(ARGV[at], 2)
          local verdict = '1'
          local writes = at + 3
          local rest = writes + 3 * nw
          local claim, keep = ARGV[rest], ARGV[rest + 1]
          rest = rest + 2
          local now = call('GET', claim)
          local held = now == mark or call('HEXISTS', KEYS[3], mark) == 1
          if op == 'S' then
            if held then call('HSET', KEYS[3], mark, ARGV[rest]) end
            rest = rest + 1
          elseif op ~= 'K' then
            if held then
              call('HDEL', KEYS[3], mark)
              if op == 'X' then
                call('DEL', claim)
              else
                call('SET', claim, 'finished ' .. mark, 'EX', keep)
              end
            end
            if op == 'D' then
              if held then verdict = setAside(ARGV[rest], ARGV[rest + 1], ARGV[rest + 2]) end
              rest = rest + 3
            end
          end
          if note ~= '' then
            if held then attempt(note, ARGV[rest], ARGV[rest + 1]) end
            rest = rest + 2
          end
          if held and nw > 0 then write(writes, nw, ttl, prefix, rdb, db) end
          verdicts[#verdicts + 1] = held and verdict or '0'
          at = rest
        end
        answer[1] = table.concat(verdicts)
        return answer
        """

    /// Tells which claims no longer stand. KEYS: started. ARGV: pairs of claim's key and mark. Returns marks.
    static let check = """
        local out = {}
        for i = 1, #ARGV, 2 do
          if redis.call('GET', ARGV[i]) ~= ARGV[i + 1] and redis.call('HEXISTS', KEYS[1], ARGV[i + 1]) == 0 then
            out[#out + 1] = ARGV[i + 1]
          end
        end
        return out
        """
}
