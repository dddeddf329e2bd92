/// A connected, non-blocking byte stream: a socket, or TLS over one.
///
/// The owner watches its `interest`, reads when it is readable, and calls `flush` when it is writable or when something was
/// enqueued. After `read` has returned nothing stays behind that the descriptor would not announce.
public protocol ByteStream: AnyObject {
    /// The descriptor to watch.
    var raw: Int32 { get }
    /// Tells this descriptor from every other of its number (`PollInterest.serial`).
    var serial: Int { get }
    /// Whether bytes wait for the peer to read.
    var hasBacklog: Bool { get }
    /// Queues bytes; `flush` sends them.
    func enqueue(_ append: (inout [UInt8]) -> Void)
    /// Sends what the peer takes now.
    func flush() throws
    /// Reads about `count` bytes at the most. `.bytes` is never empty.
    func read(upTo count: Int) throws -> Descriptor.ReadResult
    /// Closes the descriptor; what was not sent is dropped.
    func close()
}

extension ByteStream {
    /// What to watch the descriptor for.
    public var interest: PollInterest { PollInterest(descriptor: raw, events: hasBacklog ? [.read, .write] : .read, serial: serial) }
}
