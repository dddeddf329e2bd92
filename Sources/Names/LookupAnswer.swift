import CAres
import CoppiceSystem

/// Where c-ares' callback puts its answer; an object of its own so that the callback never meets a half-destroyed `HostLookup`.
final class LookupAnswer {
    /// How the request ended; nil while it goes on.
    private(set) var status: Int32?
    private(set) var addresses: [SocketAddress] = []
    /// Of the newest socket that has been opened for the request, and so of all of them.
    private(set) var serial = 0

    /// Called by c-ares with each socket.
    func madeSocket() { serial = PollInterest.newSerial() }

    /// Takes `list` over and frees it.
    func arrived(_ status: Int32, _ list: UnsafeMutablePointer<ares_addrinfo>?) {
        self.status = status
        guard let list else { return }
        defer { ares_freeaddrinfo(list) }
        var node = list.pointee.nodes
        while let current = node {
            // A node's ai_addr points to ai_addrlen bytes until the list is freed.
            if let address = current.pointee.ai_addr {
                let bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(current.pointee.ai_addrlen)))
                addresses.append(SocketAddress(family: current.pointee.ai_family, bytes: bytes))
            }
            node = current.pointee.ai_next
        }
    }
}
