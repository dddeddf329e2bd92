import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// The consumers of a carrier's queues, on one channel: one a queue, or none while nothing is to come.
///
/// Where the prefetch limit is each consumer's own, it stays as it was when the consumer began: for another limit another one begins, and
/// then the first is ended, so that a queue which goes with its last consumer stays. Each has a tag of its own, since RabbitMQ counts
/// what is acknowledged for a tag, be it the one that began later. None is ended before it is known to have begun: the channel of a
/// RabbitMQ 3.10 does not survive that.
final class AMQPConsumers {
    private let line: AMQPRequestLine
    private let queues: [String]
    /// By queue.
    private var tags: [String?]
    private var lastNumber = 0
    /// The queue that is the first to be consumed again: another one each time, so that what comes first does not always take the room.
    private var first = 0
    /// The prefetch limit that was set last.
    private(set) var limit: UInt16 = 0
    private var limitsWholeChannel = false
    /// What has not been answered yet: beginnings, those of them that are to be ended then, and how many ends, these included.
    private var beginning: Set<String> = []
    private var endsOnceBegun: Set<String> = []
    private var ending = 0
    /// No end is unanswered any more.
    var onEnded: () -> Void = {}

    init(_ line: AMQPRequestLine, queues: [String]) {
        self.line = line
        self.queues = queues
        tags = Array(repeating: nil, count: queues.count)
    }

    var isEnding: Bool { ending > 0 }

    /// The queue of a consumer, whether it has been ended or not; nil if it is not ours.
    func queue(of tag: String) -> Int? {
        let parts = tag.split(separator: "-")
        guard parts.count == 3, parts[0] == "coppice", let index = Int(parts[1]), queues.indices.contains(index) else { return nil }
        return index
    }

    func isCurrent(_ tag: String) -> Bool { tags.contains(tag) }

    /// Sets the prefetch limit, for the consumers that there are, too.
    ///
    /// - Parameter wholeChannel: whether it is one limit for all; else it is each consumer's.
    func setLimit(_ limit: UInt16, wholeChannel: Bool, now: MonotonicTime, _ then: @escaping () -> Void = {}) {
        self.limit = limit
        limitsWholeChannel = wholeChannel
        line.ask(.qos(count: limit, wholeChannel: wholeChannel), now: now) { _ in then() }
        guard !wholeChannel else { return }
        for index in tags.indices where tags[index] != nil { begin(index, now: now) {} }
    }

    /// Asks for something that changes nothing. A refusal closes the channel.
    func probe(now: MonotonicTime) { line.ask(.qos(count: limit, wholeChannel: limitsWholeChannel), now: now) { _ in } }

    /// Begins to consume a queue, in the place of the consumer that there is.
    func begin(_ index: Int, now: MonotonicTime, _ then: @escaping () -> Void) {
        let former = tags[index]
        lastNumber += 1
        let tag = "coppice-\(index)-\(lastNumber)"
        tags[index] = tag
        beginning.insert(tag)
        line.ask(.consume(queue: queues[index], tag: tag, noAck: false), now: now) { [unowned self] answer in
            // A refusal closes the channel, which ends the session with its own reason.
            guard case .success = answer else { return }
            beginning.remove(tag)
            if endsOnceBegun.remove(tag) != nil { cancel(tag, now: .now) }
            then()
        }
        if let former { end(former, now: now) }
    }

    /// Begins to consume the queues that have no consumer.
    func beginMissing(now: MonotonicTime) {
        for offset in tags.indices {
            let index = (first + offset) % tags.count
            if tags[index] == nil { begin(index, now: now) {} }
        }
    }

    /// Ends all; `onEnded` follows, at once if there is none.
    func endAll(now: MonotonicTime) {
        first = (first + 1) % max(1, tags.count)
        for case (let index, let tag?) in zip(tags.indices, tags) {
            tags[index] = nil
            end(tag, now: now)
        }
        if ending == 0 { onEnded() }
    }

    private func end(_ tag: String, now: MonotonicTime) {
        ending += 1
        if beginning.contains(tag) { endsOnceBegun.insert(tag) } else { cancel(tag, now: now) }
    }

    private func cancel(_ tag: String, now: MonotonicTime) {
        line.ask(.cancel(tag: tag), now: now) { [unowned self] _ in
            ending -= 1
            if ending == 0 { onEnded() }
        }
    }

    /// The server has ended a consumer. Returns its queue, if that has none now.
    func ended(_ tag: String) -> Int? {
        guard let index = queue(of: tag), tags[index] == tag else { return nil }
        tags[index] = nil
        return index
    }
}
