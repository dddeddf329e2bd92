import CoppiceRedis
import CoppiceShared

/// Commits on their way to the script: those whose publications name exchanges wait until the exchanges' bindings are known, and the ones
/// behind them wait, too.
final class RedisCommitLine {
    /// Exchanges of which it was said that nothing is bound to them; bounded, since tasks may name any.
    private static let noticeLimit = 1000

    private let keys: RedisKeys
    private let declarations: [QueueDeclaration]
    private let dialogue: RedisDialogue
    private let carryOut: ([Commit], RedisRoutes) -> Void
    private let report: (BrokerEvent) -> Void
    private var line: [[Commit]] = []
    private var noticed: Set<String> = []

    /// - Parameter carryOut: gets each order's commits, in their order, with routes that know where their publications go.
    init(
        keys: RedisKeys, serving declarations: [QueueDeclaration], dialogue: RedisDialogue,
        carryOut: @escaping ([Commit], RedisRoutes) -> Void, report: @escaping (BrokerEvent) -> Void
    ) {
        self.keys = keys
        self.declarations = declarations
        self.dialogue = dialogue
        self.carryOut = carryOut
        self.report = report
    }

    func append(_ commits: [Commit]) {
        line.append(commits)
        if line.count == 1 { advance() }
    }

    private func advance() {
        while let commits = line.first {
            var routes = RedisRoutes(keys, serving: declarations)
            let exchanges = routes.exchanges(of: commits.lazy.flatMap(\.publications))
            guard !exchanges.isEmpty else {
                line.removeFirst()
                carryOut(commits, routes)
                continue
            }
            var open = exchanges.count
            for exchange in exchanges {
                dialogue.ask(RedisCommand("SMEMBERS", keys.binding(exchange))) { [unowned self] in
                    routes.learn(exchange, $0)
                    open -= 1
                    guard open == 0 else { return }
                    line.removeFirst()
                    notice(commits, routes)
                    carryOut(commits, routes)
                    advance()
                    dialogue.flush()
                }
            }
            return
        }
    }

    /// Says which publications go nowhere, once for each exchange.
    private func notice(_ commits: [Commit], _ routes: RedisRoutes) {
        for publication in commits.lazy.flatMap(\.publications) where routes.destinations(of: publication).isEmpty {
            let (exchange, key) = (publication.exchange, publication.routingKey)
            guard noticed.count < RedisCommitLine.noticeLimit, noticed.insert(exchange).inserted else { continue }
            report(.notice("no queue is bound to the exchange '\(exchange)' with the key '\(key)': a task's message to it is dropped"))
        }
    }
}
