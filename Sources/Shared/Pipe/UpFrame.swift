/// A frame from a child to the master.
public enum UpFrame: Equatable, Sendable {
    /// First of all; once.
    case ready(Ready)
    /// What the task is called with: args and kwargs as JSON texts. Just before `started`, from a child that was told `wants_calls`.
    case call(assignment: UInt64, arguments: [UInt8], keywords: [UInt8])
    /// The handler is about to be called.
    case started(assignment: UInt64)
    /// Progress: a state of the task's own choice with its meta data (JSON text). Only between `started` and `done`.
    case state(assignment: UInt64, name: String, meta: [UInt8])
    /// A line for the log. Assignment 0: none.
    case log(assignment: UInt64, level: LogLevel, text: String)
    /// The process lives. Carries the running assignment, or 0.
    case heartbeat(assignment: UInt64)
    /// The running task promises to end, or to promise again, within so many seconds; the last promise counts. Only between `started` and `done`.
    case pledge(assignment: UInt64, seconds: Double)
    /// The running task's message has canvas, of which the child does nothing: which parts. Only between `started` and `done`, and from a
    /// child that was told `canvas`.
    case canvas(assignment: UInt64, parts: [String])
    /// How many seconds the running task took. Just before `done`, from a child that was told `wants_runtimes`.
    case runtime(assignment: UInt64, seconds: Double)
    /// These were not started and will not be; the answer to `recall`, also when it is empty, and part of the one to `stop`.
    case returned(assignments: [UInt64])
    /// The assignment has ended.
    case done(assignment: UInt64, outcome: Outcome)

    public enum LogLevel: UInt8, Sendable {
        case debug = 1
        case info = 2
        case warning = 3
        case error = 4
    }

    /// What the master learns of a child.
    public struct Ready: Equatable, Sendable {
        public var version: UInt16
        /// How many `run` frames beyond the one in work may be written to this child; 0 = one at a time.
        public var ahead: UInt16
        /// Whether `heartbeat` will come.
        public var beats: Bool
        /// Whether `recall` is understood.
        public var recalls: Bool
        public var tasks: [TaskDeclaration]

        public init(version: UInt16 = PipeProtocol.version, ahead: UInt16, beats: Bool, recalls: Bool, tasks: [TaskDeclaration]) {
            self.version = version
            self.ahead = ahead
            self.beats = beats
            self.recalls = recalls
            self.tasks = tasks
        }
    }

    private static let beatsFlag: UInt8 = 1
    private static let recallsFlag: UInt8 = 2

    public var encoded: [UInt8] {
        FrameDecoder.frame { out in
            switch self {
            case .ready(let ready):
                out.integer(ready.version)
                out.integer(ready.ahead)
                out.integer((ready.beats ? Self.beatsFlag : 0) | (ready.recalls ? Self.recallsFlag : 0))
                out.integer(UInt32(ready.tasks.count))
                for task in ready.tasks {
                    out.text(task.name)
                    out.data(JSONValue.object(task.options).bytes)
                }
                return 1
            case .started(let assignment):
                out.integer(assignment)
                return 2
            case .state(let assignment, let name, let meta):
                out.integer(assignment)
                out.text(name)
                out.data(meta)
                return 3
            case .log(let assignment, let level, let text):
                out.integer(assignment)
                out.integer(level.rawValue)
                out.text(text)
                return 4
            case .heartbeat(let assignment):
                out.integer(assignment)
                return 5
            case .returned(let assignments):
                out.integer(UInt32(assignments.count))
                for assignment in assignments { out.integer(assignment) }
                return 6
            case .call(let assignment, let arguments, let keywords):
                out.integer(assignment)
                out.data(arguments)
                out.data(keywords)
                return 8
            case .done(let assignment, let outcome):
                out.integer(assignment)
                outcome.write(to: &out)
                return 7
            case .pledge(let assignment, let seconds):
                out.integer(assignment)
                out.double(seconds)
                return 9
            case .canvas(let assignment, let parts):
                out.integer(assignment)
                out.data(JSONValue.array(parts.map { .string($0) }).bytes)
                return 10
            case .runtime(let assignment, let seconds):
                out.integer(assignment)
                out.double(seconds)
                return 11
            }
        }
    }

    public init(kind: UInt8, payload: ByteReader) throws(FrameError) {
        var reader = payload
        switch kind {
        case 1:
            let version: UInt16 = try reader.integer()
            let ahead: UInt16 = try reader.integer()
            let flags: UInt8 = try reader.integer()
            let count: UInt32 = try reader.integer()
            var tasks: [TaskDeclaration] = []
            for _ in 0..<count {
                tasks.append(TaskDeclaration(name: try reader.text(), options: try JSONObject(frameField: try reader.data())))
            }
            self = .ready(
                Ready(
                    version: version, ahead: ahead, beats: flags & Self.beatsFlag != 0, recalls: flags & Self.recallsFlag != 0, tasks: tasks
                ))
        case 2: self = .started(assignment: try reader.integer())
        case 3:
            let assignment: UInt64 = try reader.integer()
            let name = try reader.text()
            self = .state(assignment: assignment, name: name, meta: try reader.json("state meta data"))
        case 4:
            let assignment: UInt64 = try reader.integer()
            guard let level = LogLevel(rawValue: try reader.integer()) else { throw .badValue("log level") }
            self = .log(assignment: assignment, level: level, text: try reader.text())
        case 5: self = .heartbeat(assignment: try reader.integer())
        case 6:
            let count: UInt32 = try reader.integer()
            var assignments: [UInt64] = []
            for _ in 0..<count { assignments.append(try reader.integer()) }
            self = .returned(assignments: assignments)
        case 7: self = .done(assignment: try reader.integer(), outcome: try Outcome(from: &reader))
        case 8:
            let assignment: UInt64 = try reader.integer()
            self = .call(assignment: assignment, arguments: try reader.json("args"), keywords: try reader.json("kwargs"))
        case 9:
            let assignment: UInt64 = try reader.integer()
            let seconds = try reader.double()
            guard seconds.isFinite, seconds > 0 else { throw .badValue("pledge") }
            self = .pledge(assignment: assignment, seconds: seconds)
        case 10:
            let assignment: UInt64 = try reader.integer()
            guard let list = (try? JSONValue(parsing: try reader.data()))?.array, case let parts = list.compactMap(\.string),
                parts.count == list.count
            else { throw .badValue("canvas") }
            self = .canvas(assignment: assignment, parts: parts)
        case 11:
            let assignment: UInt64 = try reader.integer()
            let seconds = try reader.double()
            guard seconds.isFinite, seconds >= 0 else { throw .badValue("runtime") }
            self = .runtime(assignment: assignment, seconds: seconds)
        default: throw .unknownKind(kind)
        }
        guard reader.isAtEnd else { throw .trailing }
    }
}
