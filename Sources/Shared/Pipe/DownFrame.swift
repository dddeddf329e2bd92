/// A frame from the master to a child.
public enum DownFrame: Equatable, Sendable {
    /// First of all; once.
    case hello(Hello)
    /// A task to run. Several may be under way: the child runs them one after the other, in order.
    case run(RunFrame)
    /// Ask the assignment that is running to end. Not an order: the master's own clock stands behind it.
    case cancel(assignment: UInt64, reason: CancelReason)
    /// Give back what has not been started; answered by `returned`.
    case recall
    /// Finish what has been started, give back the rest, exit with 0.
    case stop

    /// The kind byte of `hello`, whose first field is the version in every version of the protocol.
    public static let helloKind: UInt8 = 1

    public enum CancelReason: UInt8, Sendable {
        case softTimeLimit = 1
        case revoked = 2
    }

    /// What a child learns of its master.
    public struct Hello: Equatable, Sendable {
        public var version: UInt16
        /// The slot's number, from 1; the name of this child in logs.
        public var slot: UInt32
        /// The node's name, `celery@host`.
        public var node: String
        /// The longest time between two heartbeats, in milliseconds.
        public var heartbeat: UInt32
        /// Settings that concern tasks; docs/PIPE_PROTOCOL.md lists them.
        public var settings: JSONObject

        public init(version: UInt16 = PipeProtocol.version, slot: UInt32, node: String, heartbeat: UInt32, settings: JSONObject) {
            self.version = version
            self.slot = slot
            self.node = node
            self.heartbeat = heartbeat
            self.settings = settings
        }
    }

    public var encoded: [UInt8] {
        var capacity = 64
        if case .run(let run) = self { capacity += run.headers.count + run.body.count + 256 }
        return FrameDecoder.frame(reserving: capacity) { out in
            switch self {
            case .hello(let hello):
                out.integer(hello.version)
                out.integer(hello.slot)
                out.text(hello.node)
                out.integer(hello.heartbeat)
                out.data(JSONValue.object(hello.settings).bytes)
                return Self.helloKind
            case .run(let run):
                run.write(to: &out)
                return 2
            case .cancel(let assignment, let reason):
                out.integer(assignment)
                out.integer(reason.rawValue)
                return 3
            case .recall: return 4
            case .stop: return 5
            }
        }
    }

    public init(kind: UInt8, payload: ByteReader) throws(FrameError) {
        var reader = payload
        switch kind {
        case Self.helloKind:
            self = .hello(
                Hello(
                    version: try reader.integer(), slot: try reader.integer(), node: try reader.text(), heartbeat: try reader.integer(),
                    settings: try JSONObject(frameField: try reader.data())))
        case 2: self = .run(try RunFrame(from: &reader))
        case 3:
            let assignment: UInt64 = try reader.integer()
            guard let reason = CancelReason(rawValue: try reader.integer()) else { throw .badValue("cancel reason") }
            self = .cancel(assignment: assignment, reason: reason)
        case 4: self = .recall
        case 5: self = .stop
        default: throw .unknownKind(kind)
        }
        guard reader.isAtEnd else { throw .trailing }
    }
}

extension JSONObject {
    /// A frame's field that holds a JSON object.
    init(frameField bytes: [UInt8]) throws(FrameError) {
        guard let value = try? JSONValue(parsing: bytes), let object = value.object else { throw .badValue("JSON object") }
        self = object
    }
}
