import CoppiceShared
import CoppiceSystem
import Foundation
import Glibc
import Synchronization

/// A RabbitMQ of the tests' own, one for the whole process since it takes seconds to start: a node, ports, an epmd, data and a cookie
/// that nobody else has. Each test gets a virtual host of its own. The environment is that of Tests/support/rabbitmq_server.py.
final class RabbitMQServer: Sendable {
    static let shared = Result { try RabbitMQServer() }
    private static let virtualHosts = 128

    let port: UInt16
    let tlsPort: UInt16
    /// Who signed the server's certificate.
    let authority: String
    private let folder: String
    private let environment: [String: String]
    private let used = Mutex(0)
    /// The descriptor that the server lives by.
    private let input: Int32

    /// Serves as long as somebody holds the other end of its input: the test process, however that ends.
    private static let script = """
        epmd -address 127.0.0.1 -port $ERL_EPMD_PORT </dev/null >/dev/null 2>&1 & names=$!
        /usr/lib/rabbitmq/bin/rabbitmq-server </dev/null 2>&1 & server=$!
        echo "pid $server"
        exec >/dev/null 2>&1
        read end
        kill -9 $server $names
        wait
        rm -rf "$HOME"
        """

    /// The server's process, for SIGSTOP.
    let pid: Int32

    /// - Parameter settings: Erlang's, as it takes them from its command line.
    init(settings: String = "") throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("coppice-rabbitmq-\(UUID().uuidString)").path
        for name in ["", "/data", "/log"] {
            try FileManager.default.createDirectory(atPath: folder + name, withIntermediateDirectories: false)
        }
        port = try FreePort.next()
        tlsPort = try FreePort.next()
        authority = folder + "/ca.pem"
        let made = try TemporaryFolder()
        let certificates = try Certificates(made)
        for (file, name) in [(certificates.authority, "ca"), (certificates.certificate, "cert"), (certificates.key, "key")] {
            try FileManager.default.copyItem(atPath: file, toPath: folder + "/\(name).pem")
        }
        environment = [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": folder,
            "RABBITMQ_NODENAME": "t\(UUID().uuidString.prefix(8).lowercased())@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": "\(port)", "RABBITMQ_DIST_PORT": "\(try FreePort.next())",
            "ERL_EPMD_PORT": "\(try FreePort.next())", "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": folder + "/data", "RABBITMQ_LOG_BASE": folder + "/log",
            "RABBITMQ_CONFIG_FILE": folder + "/rabbitmq.conf", "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none \(settings)",
            "RUNNING_UNDER_SYSTEMD": "true", "ERL_CRASH_DUMP": folder + "/crash",
        ]
        try """
        log.file.level = warning
        load_definitions = \(folder)/definitions.json
        listeners.ssl.1 = 127.0.0.1:\(tlsPort)
        ssl_options.cacertfile = \(folder)/ca.pem
        ssl_options.certfile = \(folder)/cert.pem
        ssl_options.keyfile = \(folder)/key.pem

        """.write(toFile: folder + "/rabbitmq.conf", atomically: false, encoding: .utf8)
        try "[].\n".write(toFile: folder + "/plugins", atomically: false, encoding: .utf8)
        try RabbitMQServer.definitions.write(toFile: folder + "/definitions.json", atomically: false, encoding: .utf8)

        let ends = try Descriptor.pipe()
        let output = try Descriptor.pipe()
        _ = try ChildProcess.spawn(
            path: "/bin/sh", arguments: ["sh", "-c", RabbitMQServer.script], environment: environment.map { "\($0.key)=\($0.value)" },
            descriptors: .init([ends.read, output.write, output.write]))
        output.write.close()
        input = dup(ends.write.raw)
        _ = fcntl(input, F_SETFD, FD_CLOEXEC)
        var said = ""
        while !said.contains("completed with") {
            let ready = try Poll.wait(
                [PollInterest(descriptor: output.read.raw, events: .read)], until: MonotonicTime.now.advanced(by: 60))
            guard !ready.isEmpty, case .bytes(let bytes) = try output.read.read(upTo: 4096) else {
                throw DidNotCome(what: "rabbitmq-server", seen: said)
            }
            said += String(decoding: bytes, as: UTF8.self)
        }
        // What it says from here on is less than a pipe holds.
        _ = Unmanaged.passRetained(output.read)
        let line = said.split(separator: "\n").first { $0.hasPrefix("pid ") }
        pid = line.flatMap { Int32($0.dropFirst(4)) } ?? 0
    }

    deinit { close(input) }

    /// One that no test has had.
    func virtualHost() throws -> String {
        let number = used.withLock { count in
            count += 1
            return count - 1
        }
        guard number < RabbitMQServer.virtualHosts else { throw DidNotCome(what: "a virtual host", seen: "all are used") }
        return "t\(number)"
    }

    /// rabbitmqctl; waits for its end.
    func control(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/lib/rabbitmq/bin/rabbitmqctl")
        process.arguments = ["-q"] + words
        process.environment = environment
        process.currentDirectoryURL = URL(filePath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw DidNotCome(what: "rabbitmqctl \(words)", seen: "\(process.terminationStatus)") }
    }

    private static var definitions: String {
        let names = ["/"] + (0..<virtualHosts).map { "t\($0)" }
        let hosts = names.map { "{\"name\": \"\($0)\"}" }.joined(separator: ", ")
        let rights = names.map { "{\"user\": \"guest\", \"vhost\": \"\($0)\", \"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"}" }
        return """
            {"users": [{"name": "guest", "password": "guest", "tags": ["administrator"]}], "vhosts": [\(hosts)],
            "permissions": [\(rights.joined(separator: ", "))]}
            """
    }
}
