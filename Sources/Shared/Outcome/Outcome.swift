/// How an assignment ended, in memory; what is stored of it is a `ResultRecord`.
public enum Outcome: Equatable, Sendable {
    /// The return value as JSON text.
    case success([UInt8])
    case failure(TaskFailure)
    /// Run again with the same id after `delay` seconds; `because` is what RETRY shows.
    case retry(delay: Double, because: TaskFailure)
    /// End without a result; the stored state stays as it is.
    case ignore
    /// The task refuses its message: back to the queue, or away as a failure.
    case reject(requeue: Bool, reason: String)

    func write(to out: inout ByteWriter) {
        switch self {
        case .success(let json):
            out.integer(UInt8(1))
            out.data(json)
        case .failure(let failure):
            out.integer(UInt8(2))
            failure.write(to: &out)
        case .retry(let delay, let failure):
            out.integer(UInt8(3))
            out.double(delay)
            failure.write(to: &out)
        case .ignore: out.integer(UInt8(4))
        case .reject(let requeue, let reason):
            out.integer(UInt8(5))
            out.integer(UInt8(requeue ? 1 : 0))
            out.text(reason)
        }
    }

    init(from reader: inout ByteReader) throws(FrameError) {
        let kind: UInt8 = try reader.integer()
        switch kind {
        case 1:
            self = .success(try reader.json("return value"))
        case 2: self = .failure(try TaskFailure(from: &reader))
        case 3:
            let delay = try reader.double()
            guard delay.isFinite, delay >= 0 else { throw .badValue("retry delay") }
            self = .retry(delay: delay, because: try TaskFailure(from: &reader))
        case 4: self = .ignore
        case 5: self = .reject(requeue: try reader.integer(UInt8.self) != 0, reason: try reader.text())
        default: throw .badValue("outcome")
        }
    }
}

extension JSONScanner {
    /// Throws unless `text` is one JSON value and nothing else, in UTF-8 throughout.
    public static func check(_ text: [UInt8]) throws(JSONError) {
        do { _ = try UTF8Span(validating: text.span) } catch { throw JSONError(.badUTF8, at: error.byteOffsets.lowerBound) }
        var scanner = JSONScanner(text)
        _ = try scanner.skipValue()
        try scanner.expectEnd()
    }
}
