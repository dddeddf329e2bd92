import CoppiceSystem
import Foundation

/// An authority, and a certificate that it gave to `localhost` and 127.0.0.1, made by openssl's command line.
struct Certificates {
    let authority: String
    let certificate: String
    let key: String

    /// - Parameter name: the files' and the authority's; two of them do not trust each other.
    init(_ folder: TemporaryFolder, name: String = "one") throws {
        authority = folder.file("\(name)-ca.pem")
        certificate = folder.file("\(name)-cert.pem")
        key = folder.file("\(name)-key.pem")
        let caKey = folder.file("\(name)-ca-key.pem")
        let extensions = folder.file("\(name)-extensions")
        try "subjectAltName=DNS:localhost,IP:127.0.0.1".write(toFile: extensions, atomically: false, encoding: .utf8)
        func openssl(_ arguments: String...) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["openssl"] + arguments
            process.standardError = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { throw DidNotCome(what: "openssl", seen: arguments.joined(separator: " ")) }
        }
        let curve = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        try openssl(
            "req", "-x509", "-newkey", curve[0], curve[1], curve[2], "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-keyout", caKey,
            "-out",
            authority)
        let request = folder.file("\(name)-request")
        try openssl(
            "req", "-newkey", curve[0], curve[1], curve[2], "-nodes", "-subj", "/CN=server", "-keyout", key, "-out", request)
        try openssl(
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", caKey, "-CAcreateserial", "-days", "2", "-extfile", extensions,
            "-out", certificate)
    }
}
