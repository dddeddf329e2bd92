import CoppiceShared
import CoppiceSystem

/// A channel on which each request brings along what is to be done with its answer. Requests do not wait for each other's answers.
///
/// A refusal closes the channel. The line opens it again, and what stood behind the refused request is sent once more: the server has
/// taken no notice of it. Handlers are dropped with the line.
public final class AMQPRequestLine {
    public typealias Answer = Result<AMQPReply, AMQPRefusal>

    public let connection: AMQPConnection
    public let channel: UInt16
    private var waiting: [(request: AMQPRequest, handle: (Answer) -> Void)] = []

    public init(_ connection: AMQPConnection, channel: UInt16) {
        self.connection = connection
        self.channel = channel
    }

    /// Opens the channel; the connection must be open.
    public func open(now: MonotonicTime) { ask(.channelOpen, now: now) { _ in } }

    /// Queues a request.
    public func ask(_ request: AMQPRequest, now: MonotonicTime, _ handle: @escaping (Answer) -> Void) {
        do {
            try connection.send(request, on: channel, now: now)
            waiting.append((request, handle))
        } catch {
            handle(.failure(AMQPRefusal(unsaid: error.description)))
        }
    }

    /// To be called with each event of the connection; tells whether it was for this line.
    public func accept(_ event: AMQPEvent, now: MonotonicTime) -> Bool {
        switch event {
        case .reply(channel, let index, let reply):
            if waiting.indices.contains(index) { waiting.remove(at: index).handle(.success(reply)) }
        case .channelClosed(channel, let code, let text):
            let rest = waiting
            waiting = []
            open(now: now)
            // Asked first: what the handler asks comes behind.
            for (request, handle) in rest.dropFirst() { ask(request, now: now, handle) }
            rest.first?.handle(.failure(AMQPRefusal(code: code, text: text)))
        default: return false
        }
        return true
    }
}
