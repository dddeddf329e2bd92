import COpenSSL
import CoppiceSystem
import Synchronization

/// OpenSSL's form of some settings, with what was read from their files. One serves all connections of the same settings: the system's
/// authorities alone take tens of milliseconds, in which a master does nothing else.
///
/// Sendable, since it is not changed once it is made, and OpenSSL counts its users under a lock of its own.
final class TLSContext: @unchecked Sendable {
    /// Owned; never null while this object lives.
    let raw: OpaquePointer

    private struct Made {
        let context: TLSContext
        let stamps: [FileStamp?]
    }

    /// The newest of each settings; a process has as many as its URLs.
    private static let made = Mutex<[TLSSettings: Made]>([:])

    /// The settings' context. It is made anew when one of their files has changed, so that a renewed certificate is found.
    static func of(_ settings: TLSSettings) throws(TLSError) -> TLSContext {
        // Before the files are read: one that changes meanwhile is read once more.
        let stamps = files(of: settings).map { FileStamp(path: $0) }
        if let known = made.withLock({ $0[settings] }), known.stamps == stamps { return known.context }
        let context = try TLSContext(settings)
        made.withLock { $0[settings] = Made(context: context, stamps: stamps) }
        return context
    }

    private static func files(of settings: TLSSettings) -> [String] {
        // The names that OpenSSL was built with: static strings. In the system's directory of authorities it looks at each handshake.
        let system =
            X509_get_default_cert_file_env().flatMap { CurrentProcess.environment(String(cString: $0)) }
            ?? X509_get_default_cert_file().map { String(cString: $0) }
        let authorities = settings.verification == .none ? nil : settings.authorities ?? system
        return [authorities, settings.certificate, settings.key].compactMap(\.self)
    }

    private init(_ settings: TLSSettings) throws(TLSError) {
        ERR_clear_error()
        guard let raw = SSL_CTX_new(TLS_client_method()) else { throw TLSError("TLS: \(TLSFailure.library())") }
        // From here on deinit frees it, even if this fails.
        self.raw = raw
        guard coppice_ssl_require_tls12(raw) == 1 else { throw TLSError("TLS: \(TLSFailure.library())") }
        coppice_ssl_never_ask(raw)
        if settings.verification == .none {
            SSL_CTX_set_verify(raw, SSL_VERIFY_NONE, nil)
        } else {
            SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nil)
            if let file = settings.authorities {
                guard SSL_CTX_load_verify_file(raw, file) == 1 else { throw TLSContext.unusable("ssl_ca_certs", file) }
            } else if SSL_CTX_set_default_verify_paths(raw) != 1 {
                throw TLSError("TLS: the system's certificate authorities can't be read: \(TLSFailure.library())")
            }
        }
        guard let certificate = settings.certificate else {
            if settings.key != nil { throw TLSError("TLS: ssl_keyfile needs ssl_certfile") }
            return
        }
        guard SSL_CTX_use_certificate_chain_file(raw, certificate) == 1 else { throw TLSContext.unusable("ssl_certfile", certificate) }
        // It is held against the certificate as it is loaded.
        guard SSL_CTX_use_PrivateKey_file(raw, settings.key ?? certificate, SSL_FILETYPE_PEM) == 1 else {
            throw TLSContext.unusable("ssl_keyfile", settings.key ?? certificate)
        }
    }

    deinit { SSL_CTX_free(raw) }

    private static func unusable(_ parameter: String, _ file: String) -> TLSError {
        TLSError("TLS: \(parameter)=\(file) can't be used: \(TLSFailure.library())")
    }
}
