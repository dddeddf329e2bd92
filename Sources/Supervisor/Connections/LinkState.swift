import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Logging

/// How a server is reached over all connections to it: whether one stands, why the last one does not, and when the next is tried. Says
/// in the log what changes: one line a change, not one an attempt; and once a minute what goes on, with how often.
final class LinkState {
    private let server: String
    private let place: String
    private let log: Logger
    private var backoff = Backoff()
    private var retryTimer: TimerSource?
    private var lastReason: String?
    private var repetition = Repetition()
    /// Whether the log knows that there is no connection.
    private var isLossSaid = false
    private var standingSince = MonotonicTime.distantFuture
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

    func stood(now: MonotonicTime = .now) {
        if isLossSaid {
            log.warning("Connected to the \(server) \(place)\(wasStanding ? " again" : "")")
        } else if !wasStanding {
            log.info("Connected to the \(server) \(place)")
        }
        isLossSaid = false
        isStanding = true
        wasStanding = true
        standingSince = now
        lastReason = nil
    }

    /// The connection is lost, or was never made; the next one is tried after a pause.
    func lost(_ reason: String, now: MonotonicTime = .now) {
        if isStanding {
            let seconds = now.seconds(since: standingSince)
            backoff.stood(seconds: seconds)
            if seconds >= Backoff.proof { repetition.forget() }
        }
        let what = "\(isStanding ? "Lost the" : "Can't reach the") \(server) \(place): \(reason)"
        if let count = repetition.happened(what, now: now) {
            log.error("\(what); trying again\(count > 1 ? " (\(count) times since this was last said)" : "")")
            isLossSaid = true
        }
        isStanding = false
        lastReason = reason
        retryTimer?.set(now.advanced(by: backoff.next()))
    }

    /// No other connection is wanted.
    func ended() { isStanding = false }

    /// For STATUS.
    var status: String { isStanding ? "\(server) up" : "\(server) away\(lastReason.map { " (\($0))" } ?? "")" }
}
