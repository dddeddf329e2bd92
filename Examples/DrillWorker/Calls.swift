import CoppiceWorkerProcess
import FoundationEssentials

struct Add: TaskCall {
    static let name: TaskName = "drill.add"
    typealias Output = Int
    var x: Int
    var y: Int
}

/// Returns `seconds` after so long.
struct Sleep: TaskCall {
    static let name: TaskName = "drill.sleep"
    typealias Output = Double
    var seconds: Double
}

/// Python's `get()` raises `ValueError(message)`.
struct Fail: TaskCall {
    static let name: TaskName = "drill.fail"
    typealias Output = NoOutput
    var message: String
}

/// Asks for another attempt until there were so many; returns how often it was retried.
struct Retry: TaskCall {
    static let name: TaskName = "drill.retry"
    typealias Output = Int
    var times: Int
}

/// Returns its arguments.
struct Echo: TaskCall {
    static let name: TaskName = "drill.echo"
    enum Size: String, Codable { case small, large }
    struct Line: Codable {
        var product: String
        @Default var count = 1
    }
    typealias Output = Echo
    var text: String
    @Default var times: Int = 1
    var link: URL?
    var data: Data?
    @Default var size = Size.small
    @Default var lines: [Line] = []
}

struct Sum: TaskCall {
    static let name: TaskName = "drill.tsum"
    typealias Output = Double
    var numbers: [Double]
}

struct ProcessID: TaskCall {
    static let name: TaskName = "drill.getpid"
    typealias Output = Int
}

/// Runs again if its child dies; returns the child's process id.
struct Late: TaskCall {
    static let name: TaskName = "drill.late"
    typealias Output = Int
    var seconds: Double
}

/// Returns "soft" when the soft time limit hits, else `seconds`.
struct Soft: TaskCall {
    static let name: TaskName = "drill.soft"
    typealias Output = JSONValue
    var seconds: Double
}

/// Burns CPU time and ignores cancellation.
struct Spin: TaskCall {
    static let name: TaskName = "drill.spin"
    typealias Output = Double
    var seconds: Double
}

/// Sends its own process a signal.
struct Kill: TaskCall {
    static let name: TaskName = "drill.kill"
    typealias Output = NoOutput
    var signal: Int32
}

/// Ends its own process.
struct Exit: TaskCall {
    static let name: TaskName = "drill.exit"
    typealias Output = NoOutput
    var code: Int32
}

/// Holds so much memory, all of it touched, for so long.
struct Eat: TaskCall {
    static let name: TaskName = "drill.eat"
    typealias Output = Int
    var megabytes: Int
    var seconds: Double
}

/// Prints so many bytes.
struct Flood: TaskCall {
    static let name: TaskName = "drill.flood"
    typealias Output = Int
    var bytes: Int
}

/// Returns a text of so many bytes.
struct Big: TaskCall {
    static let name: TaskName = "drill.big"
    typealias Output = String
    var bytes: Int
}

/// Leaves a grandchild that holds the pipes for so long; returns its process id.
struct Fork: TaskCall {
    static let name: TaskName = "drill.fork"
    typealias Output = Int
    var seconds: Double
}

/// Appends a line with `id` and the process id to the file at `path`, in one write, when it starts. Runs again if its child dies.
struct Ledger: TaskCall {
    static let name: TaskName = "drill.ledger"
    typealias Output = Int
    var path: String
    var id: String
    var seconds: Double
}

/// As `Ledger`, and starts at most once.
struct Strict: TaskCall {
    static let name: TaskName = "drill.strict"
    typealias Output = Int
    var path: String
    var id: String
    var seconds: Double
}

/// Notes its start in a file and ends its own process with a signal, each time.
struct Poison: TaskCall {
    static let name: TaskName = "drill.poison"
    typealias Output = NoOutput
    var path: String
    var id: String
    var signal: Int32
}

/// Writes down when it starts and when it ends, and asks for so many further attempts in between. Runs again if its process dies.
struct WitnessLate: TaskCall {
    static let name: TaskName = "drill.witness.late"
    typealias Output = Int
    var seconds: Double
    var times: Int
}

/// The same, acknowledged when it starts: it has one verdict, and never runs again.
struct WitnessEarly: TaskCall {
    static let name: TaskName = "drill.witness.early"
    typealias Output = Int
    var seconds: Double
    var times: Int
}

/// Writes the text as it is to standard output, or with `errors` to standard error: `by` "print" (stdio), "write" (the descriptor itself),
/// "logger" (the task's own), or "child" (a process that the task starts and waits for). Returns the task's id.
struct Say: TaskCall {
    static let name: TaskName = "drill.say"
    typealias Output = String
    var text: String
    var by: String?
    var errors: Bool?
}

/// Closes its process' pipe to the master, and goes on for so long.
struct HangUp: TaskCall {
    static let name: TaskName = "drill.hangup"
    typealias Output = NoOutput
    var seconds: Double
}

/// Writes heartbeats to the master without a pause for so long.
struct Babble: TaskCall {
    static let name: TaskName = "drill.babble"
    typealias Output = NoOutput
    var seconds: Double
}

/// Writes to the master what is no frame, and goes on for so long.
struct Garble: TaskCall {
    static let name: TaskName = "drill.garble"
    typealias Output = NoOutput
    var seconds: Double
}

/// Returns; but its process reads nothing more of what the master writes.
struct GoDeaf: TaskCall {
    static let name: TaskName = "drill.deaf"
    typealias Output = NoOutput
}

/// Leaves a grandchild in a session of its own that holds the pipes for so long, and ends its own process with SIGKILL.
struct Orphan: TaskCall {
    static let name: TaskName = "drill.orphan"
    typealias Output = NoOutput
    var seconds: Double
}

/// Fills the disk on which the folder lies, and keeps it full for so long.
struct FillDisk: TaskCall {
    static let name: TaskName = "drill.fill"
    typealias Output = Int
    var folder: String
    var seconds: Double
}

/// Says so often that it goes on, each time for `timeout` seconds and after `every`; then is silent for `rest` seconds, and returns what it said.
struct Beat: TaskCall {
    static let name: TaskName = "drill.beat"
    typealias Output = Int
    var times: Int
    var every: Double
    var timeout: Double
    var rest: Double
}

/// Prints lines on standard error, and sends its own process a signal after so long; 0: none.
struct Lament: TaskCall {
    static let name: TaskName = "drill.lament"
    typealias Output = Int
    var lines: [String]
    var seconds: Double
    var signal: Int32
}

/// Uses up `seconds` of CPU time and `megabytes` of memory, and then reads behind an array's end: Swift's runtime ends the process.
struct Crash: TaskCall {
    static let name: TaskName = "drill.crash"
    typealias Output = Int
    var seconds: Double
    var megabytes: Int
}

/// As `Poison`; the task's own limit is one death.
struct PoisonOnce: TaskCall {
    static let name: TaskName = "drill.poison.once"
    typealias Output = NoOutput
    var path: String
    var id: String
    var signal: Int32
}

/// Notes its start, ends its own process at the first one, and at those after it holds so much memory for so long.
struct Relapse: TaskCall {
    static let name: TaskName = "drill.relapse"
    typealias Output = Int
    var path: String
    var id: String
    var megabytes: Int
    var seconds: Double
}
