import CoppiceShared
import CoppiceSystem
import Testing

/// A master with no judgement: starts drill-worker on real pipes, sends what it is told and hands back every frame.
final class PipeDriver {
    private let child: ChildProcess
    private(set) var down: Descriptor
    private let up: Descriptor
    private let errors: Descriptor
    private var decoder = FrameDecoder()
    private var isReaped = false
    private let hearsBeats: Bool

    var pid: Int32 { child.pid }

    /// - Parameters:
    ///   - greets: Whether hello is sent and `ready` awaited.
    ///   - environment: Of the child, besides PATH.
    ///   - heartbeat: Milliseconds between beats; nil: the beats are passed over. They come at instants of their own, between any two frames.
    init(greets: Bool = true, heartbeat: UInt32? = nil, settings: JSONObject = [:], environment: [String] = []) throws {
        hearsBeats = heartbeat != nil
        let test = CommandLine.arguments[0]
        let path = test.prefix(upTo: test.lastIndex(of: "/") ?? test.startIndex) + "/drill-worker"
        let down = try Descriptor.pipe()
        let up = try Descriptor.pipe()
        let errors = try Descriptor.pipe()
        let null = try Descriptor.open("/dev/null", flags: 2)
        child = try ChildProcess.spawn(
            path: String(path), arguments: ["drill-worker"], environment: ["PATH=/usr/bin:/bin"] + environment,
            descriptors: .init([null, null, errors.write, down.read, up.write]))
        self.down = down.write
        self.up = up.read
        self.errors = errors.read
        // The child's ends close here with their last references: then its death is the pipes' end.
        guard greets else { return }
        try send(.hello(.init(slot: 1, node: "celery@test", heartbeat: heartbeat ?? 10_000, settings: settings)))
        guard case .ready = try next() else { throw Unexpected() }
    }

    deinit {
        guard !isReaped else { return }
        child.signalGroup(9)
        // A zombie would keep Swift Testing's own watch for the ends of exit tests from ever seeing them.
        _ = try? end()
    }

    struct Unexpected: Error {}

    func send(_ frames: DownFrame...) throws { try send(bytes: frames.flatMap(\.encoded)) }

    func send(bytes: [UInt8]) throws { try Descriptor.write(all: bytes, to: down.raw) }

    func run(_ assignment: UInt64, _ name: String, _ arguments: JSONValue..., retries: UInt32 = 0) throws {
        try send(Self.run(assignment, name, arguments, retries: retries))
    }

    static func run(
        _ assignment: UInt64, _ name: String, _ arguments: [JSONValue], retries: UInt32 = 0, embed: JSONValue = [:]
    ) -> DownFrame {
        let body: JSONValue = [.array(arguments), [:], embed]
        return .run(RunFrame(assignment: assignment, id: "id-\(assignment)", name: name, retries: retries, body: body.bytes))
    }

    /// The next frame; nil when the child has closed its end. Throws if nothing comes for long.
    func next(within seconds: Double = 20) throws -> UpFrame? {
        let deadline = MonotonicTime.now.advanced(by: seconds)
        while true {
            if let (kind, payload) = try decoder.next() {
                let frame = try UpFrame(kind: kind, payload: payload)
                if case .heartbeat = frame, !hearsBeats { continue }
                return frame
            }
            guard try !Poll.wait([PollInterest(descriptor: up.raw, events: .read)], until: deadline).isEmpty else { throw Unexpected() }
            switch try up.read(upTo: 1 << 16) {
            case .bytes(let bytes): decoder.append(bytes)
            case .end: return nil
            case .wouldBlock: break
            }
        }
    }

    /// The outcome of an assignment; passes over all other frames.
    func outcome(of wanted: UInt64) throws -> Outcome {
        while let frame = try next() {
            if case .done(wanted, let outcome) = frame { return outcome }
        }
        throw Unexpected()
    }

    /// Runs one task to its end.
    func result(_ name: String, _ arguments: JSONValue..., retries: UInt32 = 0) throws -> Outcome {
        try send(Self.run(1, name, arguments, retries: retries))
        return try outcome(of: 1)
    }

    func closeDown() { down.close() }
    func signal(_ number: Int32) { child.signal(number) }

    /// Waits for the process's end.
    func end() throws -> ProcessEnd {
        let deadline = MonotonicTime.now.advanced(by: 20)
        guard try !Poll.wait([PollInterest(descriptor: child.pidfd.raw, events: .read)], until: deadline).isEmpty,
            let reaped = child.reap()
        else { throw Unexpected() }
        isReaped = true
        return reaped.end
    }

    /// What the child has complained of on standard error, up to its end.
    func complaint() throws -> String {
        var out: [UInt8] = []
        while case .bytes(let bytes) = try errors.read(upTo: 4096) { out += bytes }
        return String(decoding: out, as: UTF8.self)
    }
}
