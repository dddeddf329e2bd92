import CoppiceShared
import CoppiceSystem

/// An operator's hands on a broker: looks at queues, empties them, moves messages between them, reads the dead-letter place. A
/// connection of its own, beside any master's; it holds nothing and has no lease. Never blocks, reports by `takeEvents`.
public protocol QueueOperations: Pollable {
    func takeEvents() -> [QueueEvent]

    /// Looks at these queues, or at all that the broker can name; answered by `.queues`. The numbers are of about the same moment, no more.
    func survey(_ names: [String]?)

    /// Removes what no node holds from a queue, parked messages too where the broker knows whose they are; answered by `.purged`.
    func purge(_ queue: String)

    /// Moves one batch, what waits before what is parked, to the end of the other queue: each message keeps its priority and its time,
    /// and is in one of the two queues at any instant, never in both (RabbitMQ: in both for a moment). Answered by `.moved`.
    func move(from: String, to: String, upTo count: Int)

    /// The newest records of the dead-letter place, newest first; answered by `.deadLetters`.
    func deadLetters(upTo count: Int)

    /// One record, with the message if that is still kept; answered by `.deadLetter`.
    func deadLetter(_ id: String)

    /// In one step: the message to the end of a queue of this broker, its task's attempts forgotten, since it would be set aside at once
    /// otherwise, and the record removed. Answered by `.deadLetterLeft`.
    ///
    /// - Parameter queue: nil: the one that it was taken from.
    func retryDeadLetter(_ id: String, to queue: String?)

    /// Removes a record and its message for good; answered by `.deadLetterLeft`.
    func dropDeadLetter(_ id: String)

    /// Forgets a task's attempts, for a message that goes back to another broker than this ledger's; answered by `.attemptsForgotten`.
    func forgetAttempts(of task: String)
}

public enum QueueEvent: Sendable {
    /// Proven by a round trip. Once, first.
    case standing
    case queues([QueueState])
    case purged(waiting: Int, parked: Int)
    /// How many messages the batch had; 0: nothing is left.
    case moved(Int)
    case deadLetters([DeadLetter])
    /// nil where there is no such record.
    case deadLetter(DeadLetter?, message: [UInt8]?)
    case deadLetterLeft(DeadLetterFate)
    case attemptsForgotten
    /// The connection is over, with the reason. Last.
    case lost(String)
}
