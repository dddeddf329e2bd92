import CoppiceShared
import CoppiceZlib

/// A message's arguments, decoded from its body: Python's `args` and `kwargs`.
struct TaskArguments: Sendable {
    /// The function's name in errors: the last part of the task's.
    let function: String
    let positional: [JSONValue]
    let keyword: JSONObject
    /// The parts of canvas that the message has: they are to follow the task, and are not done.
    let canvas: [String]

    init(function: String, positional: [JSONValue] = [], keyword: JSONObject = JSONObject()) {
        self.function = function
        self.positional = positional
        self.keyword = keyword
        canvas = []
    }

    init(_ run: RunFrame) throws(TaskFailure) {
        function = String(run.name.split(separator: ".").last ?? "task")
        guard run.contentType == "application/json" || run.contentType == "json" else {
            throw .decodeError("the body is \(run.contentType), and this worker reads application/json only")
        }
        var body = run.body
        if run.bodyIsBase64 {
            guard let decoded = Base64.decode(body) else { throw .decodeError("the body is not base64") }
            body = decoded
        }
        if !run.compression.isEmpty { body = try Self.inflate(body, run.compression) }
        do {
            (positional, keyword, canvas) = try Self.parse(body)
        } catch let error as JSONError {
            throw .decodeError("the body is not JSON: \(error)")
        } catch {
            throw .decodeError("the body is not [args, kwargs, embed]")
        }
    }

    /// The most that a compressed body may grow to. Uncompressed ones have the broker's bound, long before this.
    private static let maximumInflated = 64 << 20

    /// What kombu calls gzip is a zlib stream (celery-wire §1.8); its decoder knows the compression by its short names, too.
    private static func inflate(_ body: [UInt8], _ compression: String) throws(TaskFailure) -> [UInt8] {
        guard ["application/x-gzip", "gzip", "zlib"].contains(compression) else {
            throw .decodeError("the body is compressed (\(compression)), and this worker reads application/x-gzip only")
        }
        do {
            return try Inflate.bytes(of: body, limit: maximumInflated)
        } catch {
            switch error {
            case .corrupt: throw .decodeError("the body is not zlib-compressed, though it says so (\(compression))")
            case .truncated: throw .decodeError("the compressed body ends too early")
            case .tooLarge: throw .decodeError("the compressed body is larger than \(maximumInflated >> 20) MiB")
            case .outOfMemory: throw .decodeError("there is no memory to decompress the body")
            }
        }
    }

    private struct BadShape: Error {}

    /// `[args, kwargs, embed]`, or one object with all of it, as protocol 1 and hybrid messages have it (celery-wire §1.1).
    private static func parse(_ body: [UInt8]) throws -> (positional: [JSONValue], keyword: JSONObject, canvas: [String]) {
        var scanner = JSONScanner(body)
        if try scanner.peekKind() == .object {
            let object = try JSONValue(parsing: body)
            guard object["args"] != nil else { throw BadShape() }
            return try (elements(object["args"]), members(object["kwargs"]), canvas(in: object))
        }
        guard try scanner.peekKind() == .array else {
            try JSONScanner.check(body)
            throw BadShape()
        }
        var parts: [JSONValue] = []
        var count = 0
        try scanner.beginArray()
        while try scanner.nextElement(first: count == 0) {
            if count < 3 { parts.append(try JSONValue.read(&scanner)) } else { _ = try scanner.skipValue() }
            count += 1
        }
        try scanner.expectEnd()
        guard count == 3 else { throw BadShape() }
        return try (elements(parts[0]), members(parts[1]), canvas(in: parts[2]))
    }

    /// The parts that are not empty.
    private static func canvas(in embed: JSONValue) -> [String] {
        ["callbacks", "errbacks", "chain", "chord"].filter { name in
            switch embed[name] {
            case nil, .null, .bool(false): false
            case .array(let elements): !elements.isEmpty
            case .object(let object): !object.members.isEmpty
            default: true
            }
        }
    }

    private static func elements(_ value: JSONValue?) throws -> [JSONValue] {
        switch value {
        case .array(let elements): return elements
        case nil, .null: return []
        default: throw BadShape()
        }
    }

    private static func members(_ value: JSONValue?) throws -> JSONObject {
        switch value {
        case .object(let object): return object
        case nil, .null: return JSONObject()
        default: throw BadShape()
        }
    }

    /// As Celery's messages show them.
    var summary: String { "args:\(PythonRepr.tuple(positional)) kwargs:\(PythonRepr.cut(PythonRepr.value(.object(keyword))))" }

    /// Binds the arguments to a call's properties as Python binds them to a function's parameters.
    func bind<Call: Decodable>(_ type: Call.Type = Call.self) throws -> Call {
        let binding = ArgumentBinding(self)
        let call: Call
        do {
            call = try InitialValues.whileCollecting { try Call(from: ArgumentDecoder(binding: binding, type: type)) }
        } catch let error as BindingError {
            throw binding.firstFailure ?? error
        } catch let error as DecodingError {
            // A blank that can't be made, or an `init(from:)` of the call's own.
            throw binding.firstFailure ?? BindingError(function, [], error)
        }
        try binding.check()
        return call
    }
}
