import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// Looks once, when the node is up, whether others answer to its name: it asks as `coppice status` does, over a connection of its own
/// that lasts for a moment, so that it is the same on every broker. A node that is dead answers nothing, and the node itself does.
final class NamesakeSearch {
    /// Seconds for the question to be out, and then for the answers.
    private static let patience = 5.0
    private static let answerPatience = 2.0
    /// Seconds for taking away what was made for the answers.
    private static let closingPatience = 1.0

    private let node: String
    private let onFound: () -> Void
    private var caller: (any ControlCaller)?
    private var sources: PollableSources?
    private var timer: TimerSource?
    private var answers = 0
    /// All that hear the question, as far as the broker tells.
    private var nodes = Int.max
    private var isClosing = false

    init(_ node: String, at broker: BrokerEndpoint, loop: EventLoop, onFound: @escaping () -> Void) {
        self.node = node
        self.onFound = onFound
        let caller = broker.openCaller()
        self.caller = caller
        timer = try? loop.timer(priority: LoopPriority.heartbeat) { [unowned self] in end() }
        timer?.set(.now.advanced(by: NamesakeSearch.patience))
        sources = try? PollableSources(caller, loop: loop, priority: LoopPriority.heartbeat) { [unowned self] in advance() }
        advance()
    }

    private func advance() {
        guard let caller else { return }
        for event in caller.takeEvents() {
            switch event {
            case .standing:
                caller.call(["method": "ping", "arguments": [:], "destination": [.string(node)], "pattern": nil, "matcher": nil])
            case .asked(let nodes):
                self.nodes = nodes
                timer?.set(.now.advanced(by: NamesakeSearch.answerPatience))
            case .answer(let body):
                guard (try? JSONValue(parsing: body))?[node] != nil else { break }
                answers += 1
                if answers == 2 { onFound() }
                // Not before the node itself has answered: its answer would be left behind.
                if answers == 2 || answers == nodes { end() }
            // A node that may not ask does without.
            case .lost: return leave()
            }
        }
        sources?.sync()
    }

    /// Enough was heard, or for long enough.
    private func end() {
        guard let caller, !isClosing else { return leave() }
        isClosing = true
        timer?.set(.now.advanced(by: NamesakeSearch.closingPatience))
        caller.close()
        sources?.sync()
    }

    private func leave() {
        timer?.set(nil)
        sources = nil
        caller = nil
    }
}
