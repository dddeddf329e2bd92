import CoppiceShared
import CoppiceSystem
import Glibc
import Synchronization

/// Where the log's records gather during a turn of the loop, to leave together at its end. Never waits: a reader that does not read
/// loses records, which are counted, not the master its time.
public final class LogSink: Sendable {
    private struct State {
        var destination: any LogDestination
        /// Records that nobody took, by the slot of the child that wrote them; 0: the master's.
        var lost: [Int: Int] = [:]

        /// How many records that took.
        mutating func tellLost() -> Int {
            for (slot, count) in lost.sorted(by: { $0.key < $1.key }) {
                var record = LogRecord(
                    time: .now, level: .warning,
                    text: "\(count) log lines\(slot == 0 ? "" : " of child \(slot)") lost: nobody read them, or there was no room")
                if slot > 0 { record.fields.append(LogField.slot, .int(slot)) }
                destination.append(record)
            }
            defer { lost.removeAll() }
            return lost.count
        }

        mutating func flush() {
            let before = lost
            let told = destination.backlog < LogSink.limit / 2 ? tellLost() : 0
            let failed = destination.flush()
            guard failed > 0 else { return }
            lost = before
            lost[0, default: 0] += max(0, failed - told)
        }
    }

    private let state: Mutex<State>

    /// Bytes above which nothing more is kept for a reader that does not read. What children write may fill half of it.
    private static let limit = 1 << 18

    init(_ destination: sending any LogDestination) { state = Mutex(State(destination: destination)) }

    /// - Parameter node: stands in each record, where the form has a place for it.
    /// - Throws: the file can't be opened, or there is no journal.
    public convenience init(_ options: LogOptions, node: String) throws(SystemError) {
        if let journal = try LogSink.journal(options, node: node) {
            self.init(journal)
        } else {
            let output = try LineOutput(path: options.file)
            self.init(LogStream(output, options.format == .json ? .json(JSONLine(node: node)) : .human(HumanLine())))
        }
    }

    private static func journal(_ options: LogOptions, node: String) throws(SystemError) -> Journal? {
        switch options.format {
        case .journal: try Journal(node: node)
        case .auto where options.file == nil && Journal.hasStandardError: try? Journal(node: node)
        case .auto, .human, .json: nil
        }
    }

    func write(_ record: LogRecord) {
        state.withLock { state in
            let limit = record.isChilds ? LogSink.limit / 2 : LogSink.limit
            // Much may come in one turn.
            if state.destination.backlog >= limit { state.flush() }
            if state.destination.backlog < limit {
                state.destination.append(record)
            } else {
                state.lost[record.isChilds ? record.slot : 0, default: 0] += 1
            }
        }
    }

    /// Hands over what is taken now.
    public func flush() { state.withLock { $0.flush() } }

    /// At the end, when there is nothing else to do: gives a slow reader a second for the rest.
    func finish() {
        let deadline = MonotonicTime.now.advanced(by: 1)
        flush()
        while state.withLock({ $0.destination.backlog > 0 }), MonotonicTime.now < deadline {
            // Milliseconds. Not every destination has a descriptor to wait for.
            poll(nil, 0, 5)
            flush()
        }
    }

    /// What will be told when there is room again.
    var lostLines: [Int: Int] { state.withLock { $0.lost } }

    /// Goes on in the file that has the path now: logrotate has moved the old one away. What waits goes to the new one.
    ///
    /// - Throws: it can't be opened; the log goes on where it went.
    public func reopen() throws(SystemError) {
        try state.withLock { (state) throws(SystemError) in try state.destination.reopen() }
    }
}
