import CoppiceDial
import CoppiceShared
import CoppiceSystem

/// From a list of servers to an open connection: server after server until one greets us as it should.
extension AMQPConnection {
    func dial(now: MonotonicTime) {
        let dialler = Dialler(candidates.map { url.servers[$0].endpoint }, now: now)
        state = .dialling(dialler)
        check(dialler, now: now)
    }

    func check(_ dialler: Dialler, now: MonotonicTime) {
        switch dialler.outcome {
        case .none: break
        case .failed(let reason): lose((failures + [reason]).joined(separator: "; "))
        case .ready(let stream, let index):
            candidates = candidates.dropFirst(index)
            server = candidates.popFirst() ?? 0
            state = .greeting(stream)
            stepDeadline = now.advanced(by: AMQPConnection.connectTimeout)
            input = []
            unread = 0
            write(AMQPFrame.protocolHeader, stream, now: now)
            flush()
        }
    }

    /// The server answers, but not as it should: on to the next, or to the end.
    func refuse(_ reason: String, now: MonotonicTime) {
        guard case .greeting(let stream) = state, !candidates.isEmpty else {
            let name = url.servers.count > 1 ? "\(url.servers[server].endpoint): " : ""
            lose((failures + [name + reason]).joined(separator: "; "))
            return
        }
        failures.append("\(url.servers[server].endpoint): \(reason)")
        stream.close()
        dial(now: now)
    }

    func greet(_ incoming: AMQPIncoming, _ stream: any ByteStream, now: MonotonicTime) throws(AMQPError) {
        let identity = url.servers[server]
        var bytes: [UInt8] = []
        switch incoming {
        case .start(let major, let minor, let properties, let mechanisms):
            guard major == 0, minor == 9 else { throw AMQPError("the server speaks AMQP \(major).\(minor), not 0.9.1") }
            guard mechanisms.split(separator: " ").contains("PLAIN") else {
                return refuse("the server takes no passwords (PLAIN), only \(mechanisms)", now: now)
            }
            serverProperties = properties
            try encoder.appendStartOK(user: identity.user, password: identity.password, properties: clientProperties, to: &bytes)
        case .tune(let channelMax, let frameMax, let heartbeat):
            // 0 means no limit. RabbitMQ's smallest frame is 4096.
            encoder.frameMax = min(AMQPEncoder.standardFrameMax, frameMax == 0 ? .max : max(4096, Int(frameMax)))
            let wanted = url.heartbeat
            let agreed = heartbeat == 0 || wanted == 0 ? max(heartbeat, wanted) : min(heartbeat, wanted)
            self.heartbeat = wanted == 0 ? 0 : Double(agreed)
            try encoder.appendTuneOK(channelMax: channelMax == 0 ? 2047 : channelMax, heartbeat: wanted == 0 ? 0 : agreed, to: &bytes)
            try encoder.appendOpen(virtualHost: identity.virtualHost, to: &bytes)
        case .openOK:
            state = .open(stream)
            url.cursor.settle(on: server)
            events.append(.open)
        case .close(let code, let text): refuse(explain(code, text), now: now)
        default: refuse("an answer to the greeting that makes no sense", now: now)
        }
        if !bytes.isEmpty {
            write(bytes, stream, now: now)
            flush()
        }
    }

    private var clientProperties: JSONObject {
        [
            "product": "Coppice", "platform": "Swift", "connection_name": .string(clientName),
            "capabilities": [
                "consumer_cancel_notify": true, "connection.blocked": true, "authentication_failure_close": true, "basic.nack": true,
                "publisher_confirms": true,
            ],
        ]
    }

    func explain(_ code: UInt16, _ text: String) -> String {
        let identity = url.servers[server]
        switch code {
        case 403: return "the server refuses the user \(identity.user), or the password: \(text)"
        case 530: return "the virtual host \(identity.virtualHost) is not there, or not for the user \(identity.user): \(text)"
        default: return "the server has closed the connection: \(code) \(text)"
        }
    }
}
