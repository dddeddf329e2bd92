import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem

/// Tells systemd how things are: READY, STATUS, WATCHDOG, RELOADING, STOPPING, and that more time is needed.
final class Reporter {
    /// Seconds between two STATUS texts while things change, and between two requests for more time.
    static let statusInterval = 1.0
    static let timeExtension = 15.0

    private let notifier: ServiceNotifier
    private var timer: TimerSource?
    private var lastStatus = ""
    private var nextExtension: MonotonicTime?
    private var nextBeat: MonotonicTime?
    private var phase = Phase.starting {
        // The service manager's clock runs from here.
        didSet { if phase != oldValue { nextExtension = nil } }
    }
    /// The last phase that the service manager has heard of.
    private var heardPhase = Phase.starting

    private enum Phase: Equatable { case starting, running, reloading(since: MonotonicTime), stopping }

    /// The one line for STATUS.
    var status: () -> String = { "" }
    /// Whether the evidence allows WATCHDOG=1.
    var isHealthy: () -> Bool = { true }
    /// Whether a start, a reload or a stop may take its time.
    var needsTime: () -> Bool = { true }

    init(loop: EventLoop) throws(SystemError) {
        notifier = try ServiceNotifier()
        timer = try loop.timer(priority: LoopPriority.heartbeat) { [unowned self] in beat() }
        timer?.set(.now)
    }

    func ready() {
        phase = .running
        say(status())
        if notifier.watchdogInterval != nil { _ = notifier.watchdog() }
    }

    /// `ready` follows, or `stopping`.
    func reloading(since time: MonotonicTime) {
        phase = .reloading(since: time)
        say(status())
    }

    func stopping() {
        phase = .stopping
        say(status())
    }

    func failing(_ reason: String) { _ = notifier.status(reason) }

    /// Says what has changed: the phase or the status. What is not heard, because nobody reads, is said again at the next beat.
    private func say(_ text: String) {
        guard phase != heardPhase || text != lastStatus else { return }
        let isHeard =
            switch phase {
            case heardPhase, .starting: notifier.status(text)
            case .running: notifier.ready(status: text)
            case .reloading(let time): notifier.reloading(at: time, status: text)
            case .stopping: notifier.stopping(status: text)
            }
        guard isHeard else { return }
        heardPhase = phase
        lastStatus = text
    }

    /// Served by the loop like everything else: if the loop is stuck no WATCHDOG=1 is sent, and systemd acts.
    private func beat() {
        let now = MonotonicTime.now
        say(status())
        if let interval = notifier.watchdogInterval, nextBeat.map({ $0 <= now }) ?? true, isHealthy(), notifier.watchdog() {
            nextBeat = now.advanced(by: interval * 0.9)
        }
        if phase != .running, nextExtension.map({ $0 <= now }) ?? true, needsTime() {
            notifier.extendTimeout(seconds: Reporter.timeExtension)
            nextExtension = now.advanced(by: Reporter.timeExtension / 3)
        }
        timer?.set(now.advanced(by: min(Reporter.statusInterval, notifier.watchdogInterval ?? Reporter.statusInterval)))
    }
}
