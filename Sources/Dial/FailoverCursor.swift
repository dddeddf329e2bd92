import Synchronization

/// With which of several servers the next connection begins. Shared by all connections that are made from one URL, so that they come to
/// the same server and do not each find out that one is gone.
public final class FailoverCursor: Sendable {
    private let index = Atomic(0)

    public init() {}

    /// The server to begin with, of `count`.
    public func first(of count: Int) -> Int { count > 0 ? index.load(ordering: .relaxed) % count : 0 }

    /// This one answered.
    public func settle(on server: Int) { index.store(server, ordering: .relaxed) }

    /// This one is of no use: the next connection begins with the one after it. Unless another connection found that out before.
    public func pass(_ server: Int, of count: Int) {
        guard count > 1, first(of: count) == server else { return }
        index.store((server + 1) % count, ordering: .relaxed)
    }
}
