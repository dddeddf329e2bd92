/// The scripts in which claims change hands; what they have in common with commits stands in `RedisScripts`.
enum RedisLedgerScripts {
    /// Enters messages of another broker under an incarnation's marks.
    ///
    /// A claim is its mark; of an early task that has been started `started` and the mark, of one that has its verdict `finished` and
    /// the mark. What was started is never given to another, be its owner dead or alive: its start record's heir brings it to its verdict.
    ///
    /// KEYS: nodes, revoked, started. ARGV: incarnation, claims' prefix, seconds for which a claim is remembered, then per message its
    /// name, mark and whether it was delivered before. Returns the newest revocation's mark, then per message: O ours, D another of the
    /// same name is in somebody's hands, T taken, F finished, or the mark under which it was ours before.
    static let claim = """
        redis.call('HDEL', KEYS[1], '')
        local out = { redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '' }
        for i = 4, #ARGV, 3 do
          local key, mark, again = ARGV[2] .. ARGV[i], ARGV[i + 1], ARGV[i + 2] == '1'
          local value = redis.call('GET', key) or ''
          local state, held = string.match(value, '^(%a+) (.+)$')
          held = held or value
          local owner = string.match(held, '^(%x+):')
          local verdict = 'O'
          if state == 'finished' then
            if again then verdict = 'F' end
          elseif again and owner == ARGV[1] and (not state or redis.call('HEXISTS', KEYS[3], held) == 1) then
            verdict = held
          elseif state == 'started' or (owner and redis.call('HEXISTS', KEYS[1], owner) == 1) then
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
        call('HDEL', KEYS[3], '')
        local operands = { S = 1, D = 3 }
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
          local operand = rest
          rest = rest + (operands[op] or 0)
          local now = call('GET', claim)
          local held = now == mark or call('HEXISTS', KEYS[3], mark) == 1
          if held then
            look(op, note, ARGV[rest])
            if nw > 0 then writeAll(writes, nw) end
            if note ~= '' then attempt(note, ARGV[rest], ARGV[rest + 1]) end
            if op == 'D' then
              -- As it is, to see whether it can be written: who fails behind the dead letter would make another.
              if now then call('SET', claim, now, 'KEEPTTL') end
              verdict = setAside(ARGV[operand], ARGV[operand + 1], ARGV[operand + 2])
            end
            if op == 'S' then
              call('HSET', KEYS[3], mark, ARGV[operand])
              if now == mark then call('SET', claim, 'started ' .. mark, 'KEEPTTL') end
            elseif op ~= 'K' then
              if op == 'X' then
                call('DEL', claim)
              else
                call('SET', claim, 'finished ' .. mark, 'EX', keep)
              end
              call('HDEL', KEYS[3], mark)
            end
          end
          if note ~= '' then rest = rest + 2 end
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
