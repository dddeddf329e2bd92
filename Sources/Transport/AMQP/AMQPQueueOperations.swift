import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Queue operations as far as AMQP has them. Delay queues are shared by all queues, so that nobody can say whose parked messages are
/// whose; dead letters stand in the ledger.
public final class AMQPQueueOperations: QueueOperations {
    private enum Channel {
        static let publications: UInt16 = 1
        static let declarations: UInt16 = 2
        static let messages: UInt16 = 3
    }

    private static let batch = 100
    /// The most that RabbitMQ can be told to take as one message, in bytes.
    private static let largestMessage = 512 << 20

    private let connection: AMQPConnection
    private let declarations: AMQPRequestLine
    private let messages: AMQPRequestLine
    private let publisher: AMQPPublisher
    private var current: AMQPMove?
    private var events: [QueueEvent] = []
    private var isOver = false

    public init(_ url: AMQPURL) {
        let now = MonotonicTime.now
        connection = AMQPConnection(url, clientName: "coppice-client", messageLimit: Self.largestMessage, now: now)
        declarations = AMQPRequestLine(connection, channel: Channel.declarations)
        messages = AMQPRequestLine(connection, channel: Channel.messages)
        publisher = AMQPPublisher(connection, channel: Channel.publications, declarations: declarations)
        publisher.onFailure = { [unowned self] in lose($0) }
        drain(now: now)
    }

    public func takeEvents() -> [QueueEvent] {
        defer { events.removeAll() }
        return events
    }

    // MARK: looking

    public func survey(_ names: [String]?) {
        guard let names else { return lose("RabbitMQ does not tell which queues there are: name them (rabbitmqctl list_queues does)") }
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
                case .failure(let refusal): return lose("the queue \(name): \(refusal)")
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
            case .failure(let refusal): lose("the queue \(queue): \(refusal)")
            case .success: break
            }
        }
    }

    public func move(from: String, to: String, upTo count: Int) {
        ask(.queueExists(to)) { [unowned self] answer in
            guard case .failure(let refusal) = answer else { return begin(from, to, count) }
            guard refusal.code == 404 else { return lose("the queue \(to): \(refusal)") }
            let requests = AMQPTopology.requests(QueueDeclaration(to))
            for request in requests {
                ask(request) { [unowned self] answer in
                    if case .failure(let refusal) = answer { return lose("the queue \(to) can't be made: \(refusal)") }
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
                current = AMQPMove(from: from, to: to, count: wanted, line: messages, publisher: publisher) { [unowned self] outcome in
                    current = nil
                    switch outcome {
                    case .success(let moved): events.append(.moved(moved))
                    case .failure(let refusal): lose("the queue \(from): \(refusal)")
                    }
                }
                current?.begin(now: .now)
                connection.flush()
            case .failure(let refusal) where refusal.code != 404: lose("the queue \(from): \(refusal)")
            case .success, .failure: events.append(.moved(0))
            }
        }
    }

    // MARK: dead letters

    public func deadLetters(upTo count: Int) { lose(Self.ledger) }
    public func deadLetter(_ id: String) { lose(Self.ledger) }

    private static let ledger = "RabbitMQ keeps no dead letters: the ledger does"

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { [connection.deadline, publisher.deadline, current?.deadline].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        connection.ready(descriptor, happened, now: now)
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        if let deadline = publisher.deadline, deadline <= now { publisher.expired(now: now) }
        if let deadline = current?.deadline, deadline <= now { current?.expired(now: now) }
        drain(now: now)
    }

    private func ask(_ request: AMQPRequest, _ handle: @escaping (AMQPRequestLine.Answer) -> Void) {
        declarations.ask(request, now: .now, handle)
        connection.flush()
    }

    private func drain(now: MonotonicTime) {
        for event in connection.takeEvents() where !isOver {
            switch event {
            case .open:
                declarations.open(now: now)
                messages.open(now: now)
                publisher.open(now: now) { [unowned self] in events.append(.standing) }
            case .delivery(Channel.messages, let delivery): current?.arrived(delivery, now: now)
            case .cancelled(Channel.messages, _): current?.consumerEnded(now: now)
            // What was delivered on it stands in its queue again; what was confirmed stands in the other, too.
            case .channelClosed(Channel.messages, let code, let text) where current?.isConsuming == true:
                lose("RabbitMQ has ended the move: \(code) \(text)")
            case .blocked(let reason): lose("RabbitMQ takes no publications for now (\(reason))")
            case .lost(let reason): lose(reason)
            default:
                guard !publisher.accept(event, now: now) else { break }
                for line in [declarations, messages] where line.accept(event, now: now) { break }
            }
        }
        connection.flush()
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        connection.abandon()
        events.append(.lost(reason))
    }
}
