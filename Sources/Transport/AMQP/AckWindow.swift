/// Which delivery tags of a channel have no acknowledgement yet. Tags count up from 1 without gaps.
///
/// It finds how far one acknowledgement of several may reach without touching a message that is not meant.
struct AckWindow {
    /// The lowest tag that is open.
    private var base: UInt64 = 1
    /// Whether a tag is settled, from `base` on; `start` is its place.
    private var settled: [Bool] = []
    private var start = 0

    /// A message has come. Tags come in order.
    mutating func delivered(_ tag: UInt64) {
        guard tag == base + UInt64(settled.count - start) else { return }
        settled.append(false)
    }

    /// Settles tags, other than by acknowledging them.
    mutating func settle(_ tag: UInt64) {
        mark(tag)
        advance()
    }

    /// Settles tags and says with which acknowledgements: one for all that may go together, then the others.
    mutating func acknowledge(_ tags: [UInt64]) -> [(tag: UInt64, multiple: Bool)] {
        for tag in tags { mark(tag) }
        let before = base
        advance()
        var acks: [(tag: UInt64, multiple: Bool)] = []
        let together = tags.filter { $0 < base }
        // All below `base` are settled: those that were not before are in `tags`.
        if let last = together.max() { acks.append((last, last > before)) }
        for tag in tags where tag >= base { acks.append((tag, false)) }
        return acks
    }

    private mutating func mark(_ tag: UInt64) {
        guard tag >= base, tag - base < UInt64(settled.count - start) else { return }
        settled[start + Int(tag - base)] = true
    }

    private mutating func advance() {
        while start < settled.count, settled[start] {
            start += 1
            base += 1
        }
        if start == settled.count {
            settled.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 1024, start * 2 > settled.count {
            settled.removeFirst(start)
            start = 0
        }
    }
}
