import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// What an operator does with the messages that could not be run.
extension Client {
    /// The newest records of the dead-letter place, newest first.
    public func deadLetters(upTo count: Int) throws(ClientError) -> [DeadLetter] {
        try operate(at: ledger, { $0.deadLetters(upTo: count) }) { if case .deadLetters(let letters) = $0 { letters } else { nil } }
    }

    /// A record of the dead-letter place with its message, if that is still kept; nil where there is no such record.
    public func deadLetter(_ id: String) throws(ClientError) -> (letter: DeadLetter, message: [UInt8]?)? {
        try deadLetter(id, by: standingOperations(at: ledger))
    }

    /// Puts messages back to work, one after the other, each in one step with its record's removal.
    ///
    /// Where the ledger stands beside the broker there is no such step: who is killed in between leaves both. The copy has a name of
    /// its own, made from the record: put back once more within an hour of its end it is known, and does not run again.
    ///
    /// - Parameters:
    ///   - queue: nil: each to the queue it was taken from.
    ///   - settled: called with each, and what came of it; nil: done, else why not.
    public func retryDeadLetters(_ ids: [String], to queue: String?, settled: (String, String?) -> Void) throws(ClientError) {
        let operations = try standingOperations(at: ledger)
        let sender = ledger == broker ? nil : try standingSender()
        for id in ids {
            if let sender {
                settled(id, try resend(id, to: queue, operations, sender))
            } else {
                operations.retryDeadLetter(id, to: queue)
                settled(id, try fate(operations).complaint)
            }
        }
    }

    /// Removes records and their messages for good.
    ///
    /// - Parameter settled: as above.
    public func dropDeadLetters(_ ids: [String], settled: (String, String?) -> Void) throws(ClientError) {
        let operations = try standingOperations(at: ledger)
        for id in ids {
            operations.dropDeadLetter(id)
            settled(id, try fate(operations).complaint)
        }
    }

    private func fate(_ operations: any QueueOperations) throws(ClientError) -> DeadLetterFate {
        try answer(of: operations, at: ledger) { if case .deadLetterLeft(let fate) = $0 { fate } else { nil } }
    }

    private func deadLetter(
        _ id: String, by operations: any QueueOperations
    ) throws(ClientError) -> (letter: DeadLetter, message: [UInt8]?)? {
        operations.deadLetter(id)
        return try answer(of: operations, at: ledger) {
            if case .deadLetter(let letter, let message) = $0 { .some(letter.map { ($0, message) }) } else { nil }
        }
    }

    /// Forgets the attempts, sends a copy, and removes the record when the broker has confirmed that it has the copy.
    private func resend(
        _ id: String, to queue: String?, _ operations: any QueueOperations, _ sender: any MessageSender
    ) throws(ClientError) -> String? {
        guard let (letter, raw) = try deadLetter(id, by: operations) else { return DeadLetterFate.noRecord.complaint }
        guard let raw else { return DeadLetterFate.noMessage.complaint }
        let queue = queue ?? letter.queue
        let message: TaskMessage
        do throws(MessageDefect) { message = try Envelope.read(raw, queue: queue) } catch {
            return "the message can't be read: \(error.reason)"
        }
        operations.forgetAttempts(of: message.id)
        try answer(of: operations, at: ledger) { if case .attemptsForgotten = $0 { () } else { nil } }
        let mark = "dead:\(letter.id):\(letter.at?.microseconds ?? 0)"
        sender.publish(TaskPublication(copyOf: message, to: queue, mark: mark))
        if let refusal = try confirmation(of: sender) { return refusal }
        operations.dropDeadLetter(id)
        // Whoever has removed it meanwhile has not taken the copy back.
        _ = try fate(operations)
        return nil
    }

    private func standingSender() throws(ClientError) -> any MessageSender {
        let sender = broker.openSender()
        try senderEvent(of: sender) { if case .standing = $0 { () } else { nil } }
        return sender
    }

    /// nil: it is with the broker; else why it never will be.
    private func confirmation(of sender: any MessageSender) throws(ClientError) -> String? {
        try senderEvent(of: sender) {
            switch $0 {
            case .sent: .some(nil)
            case .refused(let reason): .some(reason)
            case .standing, .lost: nil
            }
        }
    }

    private func senderEvent<Answer>(of sender: any MessageSender, _ pick: (SenderEvent) -> Answer?) throws(ClientError) -> Answer {
        let deadline = MonotonicTime.now.advanced(by: Client.patience)
        while true {
            for event in sender.takeEvents() {
                if case .lost(let reason) = event { throw ClientError("the broker \(broker): \(reason)") }
                if let answer = pick(event) { return answer }
            }
            try turn(sender, until: deadline, "the broker \(broker)")
        }
    }
}

extension DeadLetterFate {
    fileprivate var complaint: String? {
        switch self {
        case .done: nil
        case .noRecord: "no such dead letter"
        case .noMessage: "its message is not kept any more"
        }
    }
}
