import CCurl
import FoundationEssentials
import Glibc

/// A plain-text mail, sent by libcurl through the server that SMTP_HOST, SMTP_PORT, SMTP_FROM, SMTP_USER and SMTP_PASSWORD name.
/// A child sees variables only by permission: `coppice worker --child-env SMTP_HOST …`.
struct Mail {
    let to: String
    private let subject: String
    private let body: String

    /// nil where a line break in an address or a subject would smuggle in a header.
    init?(to: String, subject: String, body: String) {
        guard !to.isEmpty, !"\(to)\(subject)".utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }), !to.contains(where: { "<>".contains($0) })
        else { return nil }
        self.to = to
        self.subject = subject
        self.body = body
    }

    struct NotSent: Error, CustomStringConvertible {
        let description: String
    }

    func send() throws {
        guard let host = Self.setting("SMTP_HOST") else {
            throw NotSent(description: "SMTP_HOST is not set (it reaches a worker by: coppice worker --child-env SMTP_HOST)")
        }
        let port = Self.setting("SMTP_PORT") ?? "25"
        let sender = Self.setting("SMTP_FROM") ?? "coppice@localhost"
        let url = "\(port == "465" ? "smtps" : "smtp")://\(host):\(port)"
        let message = text(from: sender)
        let failure = withCString(Self.setting("SMTP_USER")) { user in
            withCString(Self.setting("SMTP_PASSWORD")) { password in
                // The strings outlive the call, which keeps none of them.
                url.withCString { url in
                    sender.withCString { sender in
                        to.withCString { to in
                            message.withCString { text in
                                var mail = smtp_mail(
                                    url: url, user: user, password: password, from: sender, to: to, message: text,
                                    message_length: message.utf8.count, timeout_seconds: 30)
                                return smtp_send(&mail)
                            }
                        }
                    }
                }
            }
        }
        guard let failure else { return }
        defer { free(failure) }
        throw NotSent(description: "the mail to \(to) was not sent: \(String(cString: failure))")
    }

    /// Headers and body as they go over the wire. Base64 keeps any text legal: every script, every length of line.
    private func text(from sender: String) -> String {
        let subject = subject.utf8.allSatisfy { $0 < 0x80 } ? subject : "=?utf-8?B?\(Data(subject.utf8).base64EncodedString())?="
        return [
            "From: <\(sender)>",
            "To: <\(to)>",
            "Subject: \(subject)",
            "Date: \(Self.now)",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64",
            "",
            Data(body.utf8).base64EncodedString(options: .lineLength76Characters),
            "",
        ].joined(separator: "\r\n")
    }

    private static var now: String {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var text = [CChar](repeating: 0, count: 64)
        strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S +0000", &parts)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func setting(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}

private func withCString<Value>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Value) -> Value {
    guard let text else { return body(nil) }
    return text.withCString(body)
}
