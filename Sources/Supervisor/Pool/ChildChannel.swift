import CoppiceShared
import CoppiceSystem

/// The master's ends of a child's two protocol pipes: frames out, frames in, neither ever waiting.
final class ChildChannel {
    private let down: Descriptor
    private let up: Descriptor
    private var decoder = FrameDecoder()
    private var out = ByteQueue()

    /// Takes both over; they must not block.
    init(down: Descriptor, up: Descriptor) {
        self.down = down
        self.up = up
    }

    var upDescriptor: Int32 { up.raw }
    var downDescriptor: Int32 { down.raw }
    var hasBacklog: Bool { !out.isEmpty }
    /// Whether a frame has begun to arrive whose end has not come.
    var isInFrame: Bool { decoder.pending > 0 }

    /// Queues a frame; `flush` sends it.
    func send(_ frame: DownFrame) {
        out.append { $0 += frame.encoded }
    }

    /// Sends what the pipe takes. A pipe without a reader takes nothing ever again, and the loop would call it writable for ever: what is
    /// queued is dropped. The child's exit follows, or a deadline finds what it does not begin.
    func flush() {
        do {
            while hasBacklog {
                let count = try down.write(out.waiting)
                if count == 0 { break }
                out.consume(count)
            }
        } catch {
            out.removeAll()
        }
    }

    enum Reading {
        /// Nothing more now.
        case empty
        /// The bound of one turn was reached; more may be there.
        case more
        /// The child has closed its end.
        case end
        /// The pipe can't be read.
        case failed(SystemError)
    }

    /// Reads at most `limit` bytes and hands every whole frame to `handle`.
    func receive(limit: Int, _ handle: (UpFrame) -> Void) throws(FrameError) -> Reading {
        var read = 0
        while read < limit {
            let reading: Descriptor.ReadResult
            do { reading = try up.read(upTo: 1 << 16) } catch { return .failed(error) }
            switch reading {
            case .wouldBlock: return .empty
            case .end: return .end
            case .bytes(let bytes):
                read += bytes.count
                decoder.append(bytes)
                while let (kind, payload) = try decoder.next() { handle(try UpFrame(kind: kind, payload: payload)) }
                if bytes.count < 1 << 16 { return .empty }
            }
        }
        return .more
    }

    func close() {
        down.close()
        up.close()
    }
}
