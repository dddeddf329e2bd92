/// What a server answers to a request.
public enum AMQPReply: Equatable, Sendable {
    /// Done.
    case done
    /// To a queue's declaration: its name, and how many messages wait in it.
    case queue(name: String, messages: Int, consumers: Int)
    /// To a purge or a deletion.
    case removed(messages: Int)
}
