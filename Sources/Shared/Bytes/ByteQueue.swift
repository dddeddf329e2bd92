/// Bytes that wait to be read by somebody: appended behind, consumed in front.
///
/// Consumed bytes are cut off when they are as many as those that wait, so that a reader who never catches up costs no
/// more memory than what he is behind: at most twice that and 64 KiB. Each byte is moved once at most on the average.
public struct ByteQueue: Sendable {
    /// Consumed bytes that are not worth a cut; and a room that is given back when it has become too large.
    private static let leastCut = 1 << 16
    private static let keptCapacity = 1 << 20

    private var bytes: [UInt8] = []
    private var start = 0

    public init() {}

    /// How many bytes wait.
    public var count: Int { bytes.count - start }
    public var isEmpty: Bool { start == bytes.count }

    /// The bytes that wait. Not to be kept while the queue changes: they would be copied.
    public var waiting: ArraySlice<UInt8> { bytes[start...] }

    /// How much memory the queue takes.
    var capacity: Int { bytes.capacity }

    /// - Parameter write: appends to the array that it is given, and does nothing else to it.
    public mutating func append(_ write: (inout [UInt8]) -> Void) { write(&bytes) }

    /// Drops bytes in front.
    ///
    /// - Parameter count: at most as many as wait.
    public mutating func consume(_ count: Int) {
        start += min(count, self.count)
        if isEmpty {
            bytes.removeAll(keepingCapacity: bytes.capacity < ByteQueue.keptCapacity)
        } else if start >= max(ByteQueue.leastCut, self.count) {
            if bytes.capacity >= ByteQueue.keptCapacity, self.count < bytes.capacity / 4 {
                bytes = Array(waiting)
            } else {
                bytes.removeFirst(start)
            }
        } else {
            return
        }
        start = 0
    }

    public mutating func removeAll() { consume(count) }
}
