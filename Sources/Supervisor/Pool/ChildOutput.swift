import CoppiceEventLoop
import CoppiceSystem

/// What a child writes to its standard output or error, cut into lines. Long lines are broken; nothing is ever waited for.
///
/// The child may say whose lines they are, by marks (PIPE_PROTOCOL.md): what follows one is that assignment's.
final class ChildOutput {
    static let longestLine = 8192
    /// Bytes read at once: few, since they may be as many lines.
    static let piece = 1 << 12

    enum Stream: String { case standardOutput = "stdout", standardError = "stderr" }

    let stream: Stream
    /// Its watch; nil when the child has closed its end.
    var source: IOSource?
    private let pipe: Descriptor
    private var rest: [UInt8] = []
    /// The digits of a mark whose end has not come.
    private var mark: [UInt8]?
    /// The assignment of the last mark; 0: the child has not said whose these lines are.
    private(set) var owner: UInt64 = 0
    /// Of all marks. A process that a task has forked may bring its mark again when that is long over.
    private var latest: UInt64 = 0

    private static let markStart: UInt8 = 0x1E
    private static let markEnd: UInt8 = 0x1F
    private static let newline = UInt8(ascii: "\n")

    /// Takes the reading end over; it must not block.
    init(_ pipe: Descriptor, _ stream: Stream) {
        self.pipe = pipe
        self.stream = stream
    }

    var descriptor: Int32 { pipe.raw }

    /// Reads what is there, about `limit` bytes at most; false when the other end is closed.
    ///
    /// - Parameters:
    ///   - isKnown: whether the child was given the assignment that a mark names; another is no mark.
    ///   - line: is called with each line and its `owner`.
    func receive(limit: Int = piece, isKnown: (UInt64) -> Bool, line: (String, UInt64) -> Void) throws(SystemError) -> Bool {
        var left = limit
        while left > 0 {
            switch try pipe.read(upTo: ChildOutput.piece) {
            case .wouldBlock: return true
            case .end:
                finish(line)
                return false
            case .bytes(let bytes):
                take(bytes, isKnown, line)
                if bytes.count < ChildOutput.piece { return true }
                left -= bytes.count
            }
        }
        return true
    }

    private func take(_ bytes: [UInt8], _ isKnown: (UInt64) -> Bool, _ line: (String, UInt64) -> Void) {
        var start = bytes.startIndex
        while start < bytes.endIndex {
            if mark != nil {
                takeMark(bytes[start], isKnown, line)
                start += 1
                continue
            }
            let end = bytes[start...].firstIndex { $0 == ChildOutput.newline || $0 == ChildOutput.markStart } ?? bytes.endIndex
            rest.append(contentsOf: bytes[start..<end])
            breakLong(line)
            guard end < bytes.endIndex else { return }
            if bytes[end] == ChildOutput.newline {
                say(rest.count, line)
            } else {
                mark = []
            }
            start = end + 1
        }
    }

    /// The next byte behind a mark's beginning. What turns out to be no mark is text.
    private func takeMark(_ byte: UInt8, _ isKnown: (UInt64) -> Bool, _ line: (String, UInt64) -> Void) {
        guard let digits = mark else { return }
        if 0x30...0x39 ~= byte, digits.count < 20 {
            mark?.append(byte)
            return
        }
        mark = nil
        if byte == ChildOutput.markEnd, let number = UInt64(String(decoding: digits, as: UTF8.self)), number == 0 || isKnown(number) {
            guard number == 0 || number >= latest else { return }
            finish(line)
            owner = number
            latest = max(latest, number)
            return
        }
        rest.append(ChildOutput.markStart)
        rest.append(contentsOf: digits)
        if byte != ChildOutput.newline, byte != ChildOutput.markStart { rest.append(byte) }
        // Here too: a stream of nothing but such beginnings never leaves these lines.
        breakLong(line)
        if byte == ChildOutput.newline { say(rest.count, line) }
        if byte == ChildOutput.markStart { mark = [] }
    }

    private func breakLong(_ line: (String, UInt64) -> Void) {
        while rest.count > ChildOutput.longestLine {
            var count = ChildOutput.longestLine
            // Not within a character: its further bytes are 10xxxxxx.
            while count > ChildOutput.longestLine - 4, rest[count] & 0xC0 == 0x80 { count -= 1 }
            say(count, line)
        }
    }

    private func say(_ count: Int, _ line: (String, UInt64) -> Void) {
        var text = rest.prefix(count)
        if text.last == UInt8(ascii: "\r") { text.removeLast() }
        line(String(decoding: text, as: UTF8.self), owner)
        rest.removeFirst(count)
    }

    /// Whether the line that is not finished yet begins with this.
    func hasBegun(_ text: String) -> Bool { rest.starts(with: text.utf8) }

    /// Says what is left without a newline.
    func finish(_ line: (String, UInt64) -> Void) {
        if !rest.isEmpty { say(rest.count, line) }
    }

    func close() {
        source = nil
        pipe.close()
    }
}
