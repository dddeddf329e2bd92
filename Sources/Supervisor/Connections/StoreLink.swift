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
    private let state: LinkState

    /// A batch of records has been confirmed.
    var onStored: (_ batch: UInt64) -> Void = { _ in }
    /// A new connection stands.
    var onStanding: (any ResultStore) -> Void = { _ in }

    init(endpoint: ResultEndpoint, expiry: Int, loop: EventLoop, log: Logger) throws(SystemError) {
        self.endpoint = endpoint
        self.expiry = expiry
        self.loop = loop
        self.log = log
        state = try LinkState("result store", at: "\(endpoint)", loop: loop, log: log)
        state.onRetry = { [unowned self] in open() }
    }

    var standing: (any ResultStore)? { state.isStanding ? store : nil }

    /// For STATUS, while it is away.
    var complaint: String? { state.isStanding ? nil : state.status }

    func open() {
        let store = endpoint.open(expiry: expiry)
        self.store = store
        do {
            sources = try PollableSources(store, loop: loop, priority: LoopPriority.broker) { [unowned self] in drain() }
            drain()
        } catch { lost("\(error)") }
    }

    func drain() {
        guard let store else { return }
        for event in store.takeEvents() {
            switch event {
            case .standing:
                state.stood()
                onStanding(store)
            case .stored(let batch): onStored(batch)
            case .refused(let text): log.error("\(text)")
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
        store = nil
        sources = nil
        state.lost(reason)
    }
}
