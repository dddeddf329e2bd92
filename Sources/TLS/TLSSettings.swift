/// How a TLS connection is made. The names are Celery's parameters of a URL (celery-wire §2.9).
public struct TLSSettings: Hashable, Sendable {
    /// `ssl_cert_reqs`. Unlike Celery's broker we verify unless told not to.
    public enum Verification: String, Sendable {
        case none, optional, required
    }

    /// For a client `optional` means `required`, as in Python: a server always shows a certificate.
    public var verification = Verification.required
    /// `ssl_check_hostname`: whether the certificate must be the host's. Only where it is verified at all.
    public var checksHostName = true
    /// `ssl_ca_certs`: the authorities that are trusted (PEM); nil: those of the system.
    public var authorities: String?
    /// `ssl_certfile`: our certificate and what signed it (PEM).
    public var certificate: String?
    /// `ssl_keyfile`: its key (PEM, no pass phrase); nil: in the certificate's file.
    public var key: String?

    public init() {}

    /// Takes a URL's parameter in, decoded.
    ///
    /// - Returns: whether it is one of TLS.
    /// - Throws: what its value may be.
    public mutating func take(_ name: some StringProtocol, _ value: String) throws(TLSError) -> Bool {
        switch name {
        case "ssl_cert_reqs":
            let word = value.lowercased()
            guard let verification = Verification(rawValue: word.hasPrefix("cert_") ? String(word.dropFirst(5)) : word) else {
                throw TLSError("ssl_cert_reqs is one of required, optional, none")
            }
            self.verification = verification
        case "ssl_check_hostname":
            switch value.lowercased() {
            case "true", "1", "yes": checksHostName = true
            case "false", "0", "no": checksHostName = false
            default: throw TLSError("ssl_check_hostname is true or false")
            }
        case "ssl_ca_certs": authorities = value
        case "ssl_certfile": certificate = value
        case "ssl_keyfile": key = value
        default: return false
        }
        return true
    }
}
