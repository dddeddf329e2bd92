import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Logging

/// How a server is reached over all connections to it: whether one stands, why the last one does not, and when the next is tried. Says
/// in the log what changes: one line a change, not one an attempt.
final class LinkState {
    private let server: String
    private let place: String
    private let log: Logger
    private var backoff = Backoff()
    private var retryTimer: TimerSource?
    private var lastReason: String?
    /// Opens the next connection.
    var onRetry: () -> Void = {}

    private(set) var isStanding = false
    /// Whether a connection has stood before.
    private(set) var wasStanding = false

    /// - Parameters:
    ///   - server: in the log and in STATUS: `broker`, `result store`.
    ///   - place: its URL, without a password.
    init(_ server: String, at place: String, loop: EventLoop, log: Logger) throws(SystemError) {
        self.server = server
        self.place = place
        self.log = log
        retryTimer = try loop.timer(priority: LoopPriority.broker) { [unowned self] in onRetry() }
    }

    func stood() {
        if wasStanding || lastReason != nil {
            log.warning("Connected to the \(server) \(place)\(wasStanding ? " again" : "")")
        } else {
            log.info("Connected to the \(server) \(place)")
        }
        isStanding = true
        wasStanding = true
        lastReason = nil
    }

    /// It has answered a question: one that stands and falls at its first is still a failure.
    func proved() { backoff.succeeded() }

    /// The connection is lost, or was never made; the next one is tried after a pause.
    func lost(_ reason: String) {
        if isStanding || reason != lastReason {
            log.error("\(isStanding ? "Lost the" : "Can't reach the") \(server) \(place): \(reason); trying again")
        }
        isStanding = false
        lastReason = reason
        retryTimer?.set(MonotonicTime.now.advanced(by: backoff.next()))
    }

    /// No other connection is wanted.
    func ended() { isStanding = false }

    /// For STATUS.
    var status: String { isStanding ? "\(server) up" : "\(server) away\(lastReason.map { " (\($0))" } ?? "")" }
}
