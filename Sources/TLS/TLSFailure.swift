import COpenSSL

/// OpenSSL's errors in words that say what to do.
enum TLSFailure {
    /// The first error of the thread's queue, which is emptied.
    static func library() -> String {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return "no reason given" }
        // The strings are static, or null for a code without a text.
        return ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
    }

    /// Why a handshake or a read has failed.
    static func explain(_ ssl: OpaquePointer, host: String, isReady: Bool) -> TLSError {
        let verdict = SSL_get_verify_result(ssl)
        let code = ERR_get_error()
        ERR_clear_error()
        if !isReady, SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE, verdict != Int(X509_V_OK) { return untrusted(verdict, host) }
        guard coppice_err_library(code) == ERR_LIB_SSL else { return TLSError("TLS with \(host): \(text(code))") }
        switch coppice_err_reason(code) {
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_HTTP_REQUEST:
            return TLSError("the server does not speak TLS on this port: name its TLS port, or use the scheme without TLS (\(text(code)))")
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
            SSL_R_TLSV1_ALERT_UNKNOWN_CA, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
            SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
            return TLSError(
                "the server wants a client certificate that it trusts: name it with ssl_certfile and ssl_keyfile (\(text(code)))")
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, SSL_R_UNSUPPORTED_PROTOCOL:
            return TLSError("the server's TLS is too old: 1.2 or later is needed (\(text(code)))")
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return TLSError("the server closed the connection within TLS")
        default: return TLSError("TLS with \(host): \(text(code))")
        }
    }

    private static func untrusted(_ verdict: Int, _ host: String) -> TLSError {
        let reason = X509_verify_cert_error_string(verdict).map { String(cString: $0) } ?? "error \(verdict)"
        switch Int32(truncatingIfNeeded: verdict) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return TLSError("the server's certificate is not for \(host): use the name it is for, or ssl_check_hostname=false (\(reason))")
        case X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID:
            return TLSError("the server's certificate is not valid now: renew it, or set the clock (\(reason))")
        default:
            return TLSError("the server's certificate is not trusted: name its authority's file with ssl_ca_certs (\(reason))")
        }
    }

    private static func text(_ code: UInt) -> String {
        ERR_reason_error_string(code).map { String(cString: $0) } ?? "the connection broke"
    }
}
