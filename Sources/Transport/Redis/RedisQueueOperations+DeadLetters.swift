import CoppiceRedis
import CoppiceShared

/// The dead-letter place: a list of records, and the messages by their records' ids.
extension RedisQueueOperations {
    public func deadLetters(upTo count: Int) {
        ask(RedisCommand("LRANGE", keys.dead, "0", String(count - 1)), for: "LRANGE", as: \.array) { [unowned self] in
            let records = read($0)
            var command = RedisCommand("EVAL", RedisQueueScripts.presence, "1", keys.deadMessages)
            command.append(contentsOf: records.map(\.id))
            ask(command, for: "a look at dead messages", as: \.array) { [unowned self] present in
                var letters = records
                for (index, flag) in present.enumerated() where index < letters.count { letters[index].hasMessage = flag.integer == 1 }
                events.append(.deadLetters(letters))
            }
        }
    }

    public func deadLetter(_ id: String) {
        find(id) { [unowned self] letter, message in
            guard var letter else { return events.append(.deadLetter(nil, message: nil)) }
            letter.hasMessage = message != nil
            events.append(.deadLetter(letter, message: message))
        }
    }

    public func retryDeadLetter(_ id: String, to queue: String?) {
        find(id) { [unowned self] letter, message in
            guard let letter else { return events.append(.deadLetterLeft(.noRecord)) }
            guard let message else { return events.append(.deadLetterLeft(.noMessage)) }
            let queue = queue ?? letter.queue
            bind(queue)
            let list = keys.list(queue, priority: DeadLetter.priority(of: message))
            remove(id, [list] + (letter.taskID.map { [keys.attempts + $0] } ?? []))
        }
    }

    public func dropDeadLetter(_ id: String) {
        findRecord(id) { [unowned self] letter in
            if letter == nil { events.append(.deadLetterLeft(.noRecord)) } else { remove(id, []) }
        }
    }

    public func forgetAttempts(of task: String) {
        ask(RedisCommand("DEL", keys.attempts + task)) { [unowned self] _ in events.append(.attemptsForgotten) }
    }

    /// - Parameter further: the script's keys behind the place's own.
    private func remove(_ id: String, _ further: [String]) {
        let places = [keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize] + further
        var command = RedisCommand("EVAL", RedisQueueScripts.leave)
        command.append(places.count)
        command.append(contentsOf: places)
        command.append(id)
        command.append(deadRecords.removeValue(forKey: id) ?? [])
        ask(command, for: "the removal of a dead letter", as: \.integer) { [unowned self] in
            events.append(.deadLetterLeft($0 == 1 ? .done : $0 == 0 ? .noRecord : .noMessage))
        }
    }

    // MARK: finding

    private func find(_ id: String, _ found: @escaping (DeadLetter?, _ message: [UInt8]?) -> Void) {
        findRecord(id) { [unowned self] letter in
            guard let letter else { return found(nil, nil) }
            ask(RedisCommand("HGET", keys.deadMessages, id)) { found(letter, $0.bytes) }
        }
    }

    /// Looks through the records page by page; what is read on the way is not read again.
    private func findRecord(_ id: String, _ found: @escaping (DeadLetter?) -> Void) {
        if let known = deadRecords[id] { return found(DeadLetter(record: known, hasMessage: false)) }
        func page(_ start: Int) {
            let records = RedisCommand("LRANGE", keys.dead, String(start), String(start + Self.batch - 1))
            ask(records, for: "LRANGE", as: \.array) { [unowned self] in
                let letters = read($0)
                if let letter = letters.first(where: { $0.id == id }) {
                    found(letter)
                } else if $0.isEmpty {
                    found(nil)
                } else {
                    page(start + Self.batch)
                }
            }
        }
        page(0)
    }

    private func read(_ records: [RedisValue]) -> [DeadLetter] {
        records.compactMap { record in
            guard let bytes = record.bytes, let letter = DeadLetter(record: bytes, hasMessage: false) else { return nil }
            deadRecords[letter.id] = bytes
            return letter
        }
    }
}
