import CoppiceShared
import CoppiceSystem

/// Where messages are published to: whether an exchange is there, and how a queue comes to be that is not. Who asks for what is being
/// asked for already is given the same answer.
final class AMQPPlaces {
    typealias Handler = (AMQPRefusal?) -> Void

    /// On a connection that never publishes, so that a blocked one does not stop it; where there is but one connection, on that.
    private let declarations: AMQPRequestLine
    /// The exchanges that are known to be there.
    private var exchanges: Set<String> = [""]
    /// Who waits to know of an exchange, and who for a queue, by their names.
    private var asking: [String: [Handler]] = [:]
    private var making: [String: [Handler]] = [:]

    init(_ declarations: AMQPRequestLine) { self.declarations = declarations }

    func isKnown(exchange: String) -> Bool { exchanges.contains(exchange) }

    func knows(exchange: String) { exchanges.insert(exchange) }

    func forget(exchange: String) {
        if !exchange.isEmpty { exchanges.remove(exchange) }
    }

    /// Finds out whether an exchange is there; `then` is told if not.
    func find(exchange: String, now: MonotonicTime, _ then: @escaping Handler) {
        asking[exchange, default: []].append(then)
        guard asking[exchange]?.count == 1 else { return }
        declarations.ask(.exchangeExists(exchange), now: now) { [unowned self] answer in
            var failure: AMQPRefusal?
            switch answer {
            case .success: exchanges.insert(exchange)
            case .failure(let refusal): failure = refusal
            }
            for then in asking.removeValue(forKey: exchange) ?? [] { then(failure) }
        }
        declarations.connection.flush()
    }

    /// Makes a queue as Celery makes one that it knows by name alone, with an exchange of the same name; `then` is told if that failed.
    func makeQueue(_ name: String, now: MonotonicTime, _ then: @escaping Handler) {
        making[name, default: []].append(then)
        guard making[name]?.count == 1 else { return }
        var failure: AMQPRefusal?
        declarations.ask(.exchangeDeclare(name, type: "direct"), now: now) { _ in }
        declarations.ask(.queueDeclare(name), now: now) { if case .failure(let refusal) = $0 { failure = refusal } }
        // Without it the anonymous exchange still leads there.
        declarations.ask(.queueBind(queue: name, exchange: name, routingKey: name), now: now) { [unowned self] _ in
            for then in making.removeValue(forKey: name) ?? [] { then(failure) }
        }
        declarations.connection.flush()
    }
}
