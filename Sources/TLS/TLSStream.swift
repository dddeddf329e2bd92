import COpenSSL
import CoppiceShared
import CoppiceSystem

/// TLS over a stream. OpenSSL works on two buffers in memory: bytes that the stream has read go in, bytes that the stream is to write
/// come out. It never touches a descriptor and never blocks.
public final class TLSStream: ByteStream {
    /// Encrypted bytes that may wait for the peer before more is encrypted; about this much, and one record.
    private static let largestBacklog = 1 << 18
    /// Bytes that are encrypted at once.
    private static let portion = 1 << 16

    private let stream: StreamSocket
    private let host: String
    private let context: TLSContext
    /// Owned, with its two buffers; freed in deinit.
    private let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    /// Bytes that have not been encrypted yet.
    private var out = ByteQueue()
    public private(set) var isReady = false

    /// TLS with `host` over a socket that is connected. `handshake` comes next.
    public init(over stream: StreamSocket, host: String, settings: TLSSettings) throws(TLSError) {
        self.stream = stream
        self.host = host
        context = try TLSContext.of(settings)
        guard let ssl = SSL_new(context.raw) else { throw TLSError("TLS: \(TLSFailure.library())") }
        guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
            SSL_free(ssl)
            throw TLSError("TLS: no memory")
        }
        // `ssl` owns both from here on.
        SSL_set_bio(ssl, incoming, outgoing)
        SSL_set_connect_state(ssl)
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
        // A number goes into no SNI (RFC 6066), and is held against the certificate's addresses.
        let isNumber = SocketAddress.numeric(host: host, port: 1) != nil
        let isChecked = settings.verification != .none && settings.checksHostName
        var isSet = true
        if isNumber {
            if isChecked { isSet = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 }
        } else {
            isSet = coppice_ssl_set_server_name(ssl, host) == 1 && (!isChecked || SSL_set1_host(ssl, host) == 1)
        }
        guard isSet else { throw TLSError("TLS: '\(host)' can't be a host's name") }
    }

    deinit { SSL_free(ssl) }

    /// Goes on with the handshake; to be called at first, and then whenever the descriptor is ready. True: it is done.
    public func handshake() throws -> Bool {
        while true {
            ERR_clear_error()
            let result = SSL_do_handshake(ssl)
            // The last flight, or an alert, goes out whatever the result.
            try passOn()
            if result == 1 {
                isReady = true
                return true
            }
            guard SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ else { throw TLSFailure.explain(ssl, host: host, isReady: false) }
            switch try stream.read(upTo: TLSStream.portion) {
            case .bytes(let bytes): try takeIn(bytes)
            case .wouldBlock: return false
            case .end: throw TLSError("the server closed the connection during the TLS handshake: does it speak TLS on this port?")
            }
        }
    }

    // MARK: ByteStream

    public var raw: Int32 { stream.raw }

    public var serial: Int { stream.serial }

    public var hasBacklog: Bool { !out.isEmpty || stream.hasBacklog }

    public func enqueue(_ append: (inout [UInt8]) -> Void) { out.append(append) }

    public func flush() throws {
        do { try push() } catch {
            // A server that refuses us says why before it closes: what it said counts more than that nothing can be written.
            while case .bytes = try read(upTo: TLSStream.portion) {}
            throw error
        }
    }

    private func push() throws {
        try stream.flush()
        while isReady, !out.isEmpty, stream.backlog < TLSStream.largestBacklog {
            ERR_clear_error()
            var count = 0
            // The buffer is the slice's and holds as many bytes as are told.
            let result = out.waiting.prefix(TLSStream.portion).withUnsafeBytes { SSL_write_ex(ssl, $0.baseAddress, $0.count, &count) }
            guard result == 1 else { throw TLSFailure.explain(ssl, host: host, isReady: true) }
            out.consume(count)
            try passOn()
        }
    }

    public func read(upTo count: Int) throws -> Descriptor.ReadResult {
        while true {
            // A read of the socket decrypts to fewer bytes than it had: nothing is left in OpenSSL when this returns.
            switch try stream.read(upTo: count) {
            case .wouldBlock: return .wouldBlock
            case .end: return .end
            case .bytes(let bytes):
                try takeIn(bytes)
                let plain = try decrypt(upTo: bytes.count)
                if !plain.isEmpty { return .bytes(plain) }
                if SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0 { return .end }
            }
        }
    }

    public func close() { stream.close() }

    // MARK: the two buffers

    private func takeIn(_ bytes: [UInt8]) throws(TLSError) {
        var count = 0
        let result = bytes.withUnsafeBytes { BIO_write_ex(incoming, $0.baseAddress, $0.count, &count) }
        // A memory buffer takes all or has no memory.
        guard result == 1, count == bytes.count else { throw TLSError("TLS: no memory") }
    }

    /// All that can be decrypted now.
    private func decrypt(upTo capacity: Int) throws -> [UInt8] {
        var isOver = false
        // Records that were begun earlier may end with these bytes: one record more than they hold.
        let plain = [UInt8](unsafeUninitializedCapacity: capacity + 1 << 15) { buffer, filled in
            while filled < buffer.count {
                ERR_clear_error()
                var count = 0
                // The pointer stays inside the buffer, with the given count behind it.
                let result = SSL_read_ex(ssl, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, &count)
                guard result == 1 else {
                    let error = SSL_get_error(ssl, result)
                    isOver = error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN
                    break
                }
                filled += count
            }
        }
        // What came before an error counts: the error shows itself again at the next read.
        if isOver, plain.isEmpty { throw TLSFailure.explain(ssl, host: host, isReady: true) }
        // An answer to a change of keys, or an alert.
        try passOn()
        return plain
    }

    /// Hands what OpenSSL has written to the socket.
    private func passOn() throws(SystemError) {
        let waiting = BIO_ctrl_pending(outgoing)
        guard waiting > 0 else { return }
        let bytes = [UInt8](unsafeUninitializedCapacity: waiting) { buffer, filled in
            var count = 0
            // Reads at most `waiting` bytes, and says how many.
            filled = BIO_read_ex(outgoing, buffer.baseAddress, waiting, &count) == 1 ? count : 0
        }
        stream.enqueue { $0 += bytes }
        try stream.flush()
    }
}
