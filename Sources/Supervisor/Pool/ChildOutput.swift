import CoppiceSystem

/// What a child writes to its standard output or error, cut into lines. Long lines are broken; nothing is ever waited for.
final class ChildOutput {
    static let longestLine = 8192

    enum Stream { case standardOutput, standardError }

    let stream: Stream
    private let pipe: Descriptor
    private var rest: [UInt8] = []

    /// Takes the reading end over; it must not block.
    init(_ pipe: Descriptor, _ stream: Stream) {
        self.pipe = pipe
        self.stream = stream
    }

    var descriptor: Int32 { pipe.raw }

    /// Reads at most one buffer; false when the other end is closed.
    func receive(_ line: (String) -> Void) -> Bool {
        switch (try? pipe.read(upTo: 1 << 16)) ?? .end {
        case .wouldBlock: return true
        case .end:
            finish(line)
            return false
        case .bytes(let bytes):
            var start = bytes.startIndex
            while let newline = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
                rest.append(contentsOf: bytes[start..<newline])
                finish(line)
                start = newline + 1
            }
            rest.append(contentsOf: bytes[start...])
            while rest.count > ChildOutput.longestLine {
                line(String(decoding: rest.prefix(ChildOutput.longestLine), as: UTF8.self))
                rest.removeFirst(ChildOutput.longestLine)
            }
            return true
        }
    }

    /// Whether the line that is not finished yet begins with this.
    func hasBegun(_ text: String) -> Bool { rest.starts(with: text.utf8) }

    /// Says what is left without a newline.
    func finish(_ line: (String) -> Void) {
        guard !rest.isEmpty else { return }
        line(String(decoding: rest, as: UTF8.self))
        rest.removeAll()
    }

    func close() { pipe.close() }
}
