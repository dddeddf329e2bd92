import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Logging

/// The way to the broker over all its sessions: opens one, reports what it says, drops it when it is lost, tries again.
final class BrokerLink {
    private let endpoint: BrokerEndpoint
    private let loop: EventLoop
    private let log: Logger
    private let makeSession: ([DeliveryTag]) -> any BrokerSession
    private var session: (any BrokerSession)?
    private var sources: PollableSources?
    private let state: LinkState
    private var isDraining = false
    private var wantsFlush = false
    private var isClosing = false
    private var leaseProven: MonotonicTime?

    /// There is no session, and none is wanted any more.
    private(set) var isOver = false

    /// What the session reports, in order; `.standing` and `.lost` too, after the link has acted on them.
    var onEvent: (BrokerEvent) -> Void = { _ in }
    /// The embedded broker's file can't be used, from the start: trying again would not help, the operator must act.
    var onHopeless: (String) -> Void = { _ in }
    /// The tags to be handed to a new session.
    var holding: () -> [DeliveryTag] = { [] }

    /// - Parameter makeSession: for one connection attempt, with the tags that are held.
    init(
        _ endpoint: BrokerEndpoint, loop: EventLoop, log: Logger, makeSession: @escaping ([DeliveryTag]) -> any BrokerSession
    ) throws(SystemError) {
        self.endpoint = endpoint
        self.loop = loop
        self.log = log
        self.makeSession = makeSession
        state = try LinkState("broker", at: "\(endpoint)", loop: loop, log: log)
        state.onRetry = { [unowned self] in open() }
    }

    /// Whether nobody can have taken this node for dead, so that what it holds may be started and more be taken.
    var isTrusted: Bool { leaseProven.map { MonotonicTime.now.seconds(since: $0) < LeaseObserver.trust } ?? false }

    /// Whether messages can be taken and settled.
    var isStanding: Bool { state.isStanding }

    /// The session, while it stands. Who gives it an order calls `flush` in the same turn.
    var standing: (any BrokerSession)? { isStanding && !isClosing ? session : nil }

    func open() {
        guard !isOver else { return }
        let session = makeSession(holding())
        self.session = session
        do {
            sources = try PollableSources(session, loop: loop, priority: LoopPriority.broker) { [unowned self] in drain() }
            drain()
        } catch { lost("\(error)") }
    }

    /// Gives the lease up and ends; `isOver` when done.
    func close() {
        guard let session, isStanding else {
            isOver = true
            return
        }
        isClosing = true
        session.close()
        drain()
    }

    /// Hands the orders of this turn over.
    func flush() {
        wantsFlush = true
        drain()
    }

    /// Takes over what the session has to say and watches what it wants watched. Who hears an event may give orders and call `flush`: what
    /// comes of them is heard after what came before.
    private func drain() {
        guard !isDraining, let session else { return }
        isDraining = true
        defer { isDraining = false }
        repeat {
            if wantsFlush {
                wantsFlush = false
                session.flush()
            }
            for event in session.takeEvents() {
                switch event {
                case .standing: state.stood()
                case .lost(let reason):
                    lost(reason)
                    onEvent(event)
                    return
                default: break
                }
                onEvent(event)
            }
        } while wantsFlush
        leaseProven = session.leaseProven ?? leaseProven
        sources?.sync()
    }

    private func lost(_ reason: String) {
        session = nil
        sources = nil
        wantsFlush = false
        if isClosing {
            isOver = true
            state.ended()
            log.info("The broker's session has ended: \(reason)")
        } else if case .sqlite = endpoint, !state.wasStanding {
            isOver = true
            onHopeless(reason)
        } else {
            state.lost(reason)
        }
    }

    /// For STATUS: how the broker is.
    var status: String { state.status }
}
