import CoppiceEventLoop
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import Logging

/// The way to a result store that is not the broker's own: opened, dropped and opened again as `BrokerLink` does.
final class StoreLink {
    private let endpoint: ResultEndpoint
    /// Seconds for which records are kept.
    private let expiry: Int
    private let loop: EventLoop
    private let log: Logger
    private var store: (any ResultStore)?
    private var sources: PollableSources?
    private var backoff = Backoff()
    private var retryTimer: TimerSource?
    private var lastReason: String?
    private var isStanding = false

    /// A batch of records has been confirmed.
    var onStored: () -> Void = {}
    /// A new connection stands.
    var onStanding: (any ResultStore) -> Void = { _ in }

    init(endpoint: ResultEndpoint, expiry: Int, loop: EventLoop, log: Logger) throws(SystemError) {
        self.endpoint = endpoint
        self.expiry = expiry
        self.loop = loop
        self.log = log
        retryTimer = try loop.timer(priority: LoopPriority.broker) { [unowned self] in open() }
    }

    var standing: (any ResultStore)? { isStanding ? store : nil }

    func open() {
        let store = endpoint.open(expiry: expiry)
        self.store = store
        sources = PollableSources(store, loop: loop, priority: LoopPriority.broker) { [unowned self] in drain() }
        drain()
    }

    func drain() {
        guard let store else { return }
        for event in store.takeEvents() {
            switch event {
            case .standing:
                isStanding = true
                log.info("Connected to the result store \(endpoint)")
                lastReason = nil
                onStanding(store)
            case .stored:
                // Proven, as in `BrokerLink`.
                backoff.succeeded()
                onStored()
            case .record: break
            case .notice(let text): log.warning("\(text)")
            case .lost(let reason):
                lost(reason)
                return
            }
        }
        sources?.sync()
    }

    private func lost(_ reason: String) {
        if isStanding || reason != lastReason {
            log.error("The result store \(endpoint) is away: \(reason); outcomes are kept; trying again")
        }
        lastReason = reason
        isStanding = false
        store = nil
        sources = nil
        retryTimer?.set(MonotonicTime.now.advanced(by: backoff.next()))
    }
}
