import COpenSSL

/// OpenSSL's settings for one connection: read from the files anew each time, so that a renewed certificate is found.
final class TLSContext {
    /// Owned; never null while this object lives.
    let raw: OpaquePointer

    init(_ settings: TLSSettings) throws(TLSError) {
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
