import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Queue operations as far as AMQP has them. Delay queues are shared by all queues, so that nobody can say whose parked messages are
/// whose; dead letters stand in the ledger.
public final class AMQPQueueOperations: QueueOperations {
    private static let batch = 100
    /// The most that RabbitMQ can be told to take as one message, in bytes.
    private static let largestMessage = 512 << 20

    private let connection: AMQPClientConnection
    /// For the messages of a move.
    private let messages: AMQPRequestLine
    private var current: AMQPMove?
    private var events: [QueueEvent] = []

    public init(_ url: AMQPURL) {
        connection = AMQPClientConnection(url, messageLimit: Self.largestMessage)
        messages = AMQPRequestLine(connection.connection, channel: AMQPClientConnection.firstFreeChannel)
        connection.tell { [unowned self] in accept($0) }
    }

    public func takeEvents() -> [QueueEvent] {
        defer { events.removeAll() }
        return events
    }

    // MARK: looking

    public func survey(_ names: [String]?) {
        guard let names else {
            return connection.lose("RabbitMQ does not tell which queues there are: name them (rabbitmqctl list_queues does)")
        }
        var states: [QueueState] = []
        if names.isEmpty { events.append(.queues([])) }
        for name in names {
            ask(.queueExists(name)) { [unowned self] answer in
                switch answer {
                case .success(.queue(_, let waiting, let consumers)):
                    states.append(QueueState(name: name, waiting: waiting, consumers: consumers))
                case .failure(let refusal) where refusal.code == 404:
                    var state = QueueState(name: name, waiting: 0)
                    state.isMissing = true
                    states.append(state)
                case .failure(let refusal): return connection.lose("the queue \(name): \(refusal)")
                case .success: break
                }
                if states.count == names.count { events.append(.queues(states)) }
            }
        }
    }

    // MARK: changing

    public func purge(_ queue: String) {
        ask(.queuePurge(queue)) { [unowned self] answer in
            switch answer {
            case .success(.removed(let count)): events.append(.purged(waiting: count, parked: 0))
            case .failure(let refusal) where refusal.code == 404: events.append(.purged(waiting: 0, parked: 0))
            case .failure(let refusal): connection.lose("the queue \(queue): \(refusal)")
            case .success: break
            }
        }
    }

    public func move(from: String, to: String, upTo count: Int) {
        ask(.queueExists(to)) { [unowned self] answer in
            guard case .failure(let refusal) = answer else { return begin(from, to, count) }
            guard refusal.code == 404 else { return connection.lose("the queue \(to): \(refusal)") }
            let requests = AMQPTopology.requests(QueueDeclaration(to))
            for request in requests {
                ask(request) { [unowned self] answer in
                    if case .failure(let refusal) = answer { return connection.lose("the queue \(to) can't be made: \(refusal)") }
                    if request == requests.last { begin(from, to, count) }
                }
            }
        }
    }

    private func begin(_ from: String, _ to: String, _ count: Int) {
        ask(.queueExists(from)) { [unowned self] answer in
            switch answer {
            case .success(.queue(_, let waiting, _)) where waiting > 0:
                let wanted = min(waiting, count, Self.batch)
                let move = AMQPMove(from: from, to: to, count: wanted, line: messages, publisher: connection.publisher) {
                    [unowned self] in ended($0, from)
                }
                current = move
                move.begin(now: .now)
                connection.flush()
            case .failure(let refusal) where refusal.code != 404: connection.lose("the queue \(from): \(refusal)")
            case .success, .failure: events.append(.moved(0))
            }
        }
    }

    private func ended(_ outcome: Result<Int, AMQPRefusal>, _ queue: String) {
        current = nil
        switch outcome {
        case .success(let moved): events.append(.moved(moved))
        case .failure(let refusal): connection.lose("the queue \(queue): \(refusal)")
        }
    }

    // MARK: dead letters

    public func deadLetters(upTo count: Int) { connection.lose(Self.ledger) }
    public func deadLetter(_ id: String) { connection.lose(Self.ledger) }
    public func retryDeadLetter(_ id: String, to queue: String?) { connection.lose(Self.ledger) }
    public func dropDeadLetter(_ id: String) { connection.lose(Self.ledger) }
    public func forgetAttempts(of task: String) { connection.lose(Self.ledger) }

    private static let ledger = "RabbitMQ keeps no dead letters: the ledger does"

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { [connection.deadline, current?.deadline].compactMap { $0 }.min() }
    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) { connection.ready(descriptor, happened, now: now) }

    public func expired(now: MonotonicTime) {
        if let deadline = current?.deadline, deadline <= now { current?.expired(now: now) }
        connection.expired(now: now)
    }

    private func ask(_ request: AMQPRequest, _ handle: @escaping (AMQPRequestLine.Answer) -> Void) {
        connection.declarations.ask(request, now: .now, handle)
        connection.flush()
    }

    private func accept(_ event: AMQPEvent) {
        let now = MonotonicTime.now
        switch event {
        case .open:
            messages.open(now: now)
            connection.publisher.open(now: now) { [unowned self] in events.append(.standing) }
        case .delivery(_, let delivery): current?.arrived(delivery, now: now)
        case .cancelled: current?.consumerEnded(now: now)
        // What was delivered on it stands in its queue again; what was confirmed stands in the other, too.
        case .channelClosed(_, let code, let text) where current?.isConsuming == true:
            connection.lose("RabbitMQ has ended the move: \(code) \(text)")
        case .blocked(let reason): connection.lose("RabbitMQ takes no publications for now (\(reason))")
        case .lost(let reason): events.append(.lost(reason))
        default: _ = messages.accept(event, now: now)
        }
    }
}
