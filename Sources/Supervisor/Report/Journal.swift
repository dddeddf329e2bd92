import CoppiceSystem
import DequeModule
import Glibc

/// systemd's journal, in its own protocol: a datagram a record.
///
/// sd_journal_sendv(3) waits while the journal does not read, and for what is large it writes a file. So the datagrams are sent here.
struct Journal: LogDestination {
    private let socket: DatagramSocket
    private let node: String
    private var pending: Deque<[UInt8]> = []
    private(set) var backlog = 0

    static let path = "/run/systemd/journal/socket"

    init(path: String = Journal.path, node: String) throws(SystemError) {
        guard let address = SocketAddress.unix(path), access(path, W_OK) == 0 else { throw SystemError("the journal's socket \(path)") }
        socket = try DatagramSocket(to: address)
        self.node = node
    }

    /// Whether standard error leads to the journal, as systemd has it for units: it names the socket in $JOURNAL_STREAM.
    static var hasStandardError: Bool {
        var info = stat()
        guard let name = CurrentProcess.environment("JOURNAL_STREAM"), fstat(STDERR_FILENO, &info) == 0 else { return false }
        return name == "\(info.st_dev):\(info.st_ino)"
    }

    mutating func append(_ record: LogRecord) {
        let entry = JournalEntry(record, node: node).bytes
        backlog += entry.count
        pending.append(entry)
    }

    /// A journal that does not read, or is being restarted, keeps nobody waiting and gets it later.
    mutating func flush() -> Int {
        var lost = 0
        while let entry = pending.first {
            switch socket.offer(entry) {
            case .taken: break
            case .tooLarge: lost += 1
            case .notNow: return lost
            }
            pending.removeFirst()
            backlog -= entry.count
        }
        return lost
    }

    func reopen() {}
}
