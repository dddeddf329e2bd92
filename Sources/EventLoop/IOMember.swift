/// A descriptor that a group watches; dropping this ends the watch.
public final class IOMember {
    private let group: IOGroup
    private let descriptor: Int32
    private let key: UInt64

    init(_ group: IOGroup, _ descriptor: Int32, key: UInt64) {
        self.group = group
        self.descriptor = descriptor
        self.key = key
    }

    deinit { group.drop(descriptor, key: key) }
}
