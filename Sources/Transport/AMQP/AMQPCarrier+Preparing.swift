import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// From two open connections to a session that stands: what is declared, and who consumes.
extension AMQPCarrier {
    private static let controlConsumer = "control"

    func prepare(now: MonotonicTime) {
        guard phase == .connecting else { return }
        phase = .preparing
        for line in [tasks, control, declarations, replies] { line.open(now: now) }
        consuming.limitRoom(to: mostBytes, on: Channel.tasks)
        // Of RabbitMQ 4 on, and with quorum queues, only a consumer has a limit. With one queue that is the same, and costs the server
        // less: a channel's limit is a process there that is asked for every message.
        let isOld = (consuming.serverVersion.first ?? 0) < 4
        limitsWholeChannel = isOld && queues.count > 1 && queues.allSatisfy { $0.kind == .classic }
        if !isOld, queues.contains(where: { $0.kind == .quorum }) {
            events.append(
                .notice(
                    "RabbitMQ 4 drops a message of a quorum queue that has come back more than 20 times, unless a policy sets its delivery-limit to -1"
                ))
        }
        for request in AMQPTopology.sharedExchanges { declareExchange(request, now: now) }
        for queue in queues { declare(queue, now: now) }
        // Answered behind all of them.
        declarations.ask(.exchangeExists(AMQPTopology.controlExchange), now: now) { [unowned self] _ in declared(now: .now) }
        consuming.flush()
    }

    private func declared(now: MonotonicTime) {
        guard phase == .preparing else { return }
        var left = queues.count + 3
        let step = { [unowned self] in
            left -= 1
            if left == 0 { stand() }
        }
        consumers.setLimit(limit, wholeChannel: limitsWholeChannel, now: now, step)
        for index in queues.indices { consumers.begin(index, now: now, step) }
        publisher.knows(exchange: AMQPTopology.controlExchange)
        publisher.open(now: now, step)
        consumeControl(now: now, then: step)
        // With Celery's clients in mind: they send to these exchanges when a queue is a quorum queue.
        if queues.contains(where: { $0.kind == .quorum }) { delayed.prepare(now: now) {} }
        consuming.flush()
        publishing.flush()
    }

    private func declareExchange(_ request: AMQPRequest, now: MonotonicTime) {
        guard case .exchangeDeclare(let name, _, _) = request else { return }
        declarations.ask(request, now: now) { [unowned self] answer in
            if case .failure(let refusal) = answer { events.append(.notice("the exchange \(name) is used as it stands: \(refusal)")) }
        }
    }

    private func declare(_ queue: QueueDeclaration, now: MonotonicTime) {
        for request in AMQPTopology.requests(queue) {
            declarations.ask(request, now: now) { [unowned self] answer in
                guard case .failure(let refusal) = answer else { return }
                switch request {
                case .queueDeclare: adopt(queue, refusal)
                case .exchangeDeclare(let name, _, _):
                    events.append(.notice("the exchange \(name) is used as it stands: \(refusal)"))
                default: events.append(.notice("the queue \(queue.name) is not bound to \(queue.exchange): \(refusal)"))
                }
            }
        }
    }

    /// The queue could not be declared: it is used as it stands, if it does.
    private func adopt(_ queue: QueueDeclaration, _ refusal: AMQPRefusal) {
        // What it is we can't know: a limit of the whole channel would be refused by a quorum queue.
        limitsWholeChannel = false
        events.append(.notice("the queue \(queue.name) is used as it stands: \(refusal)"))
        declarations.ask(.queueExists(queue.name), now: .now) { [unowned self] answer in
            if case .failure(let reason) = answer { lose("the queue \(queue.name) can't be used: \(reason)") }
        }
    }

    /// A queue's consumer was ended by the server, since the queue is gone: both are made anew.
    func cancelled(_ consumer: String, now: MonotonicTime) {
        guard let index = consumers.ended(consumer), isTaking else { return }
        let queue = queues[index]
        events.append(.notice("the queue \(queue.name) was deleted: it is declared anew"))
        declare(queue, now: now)
        declarations.ask(.queueExists(queue.name), now: now) { [unowned self] answer in
            if case .failure(let reason) = answer { return lose("the queue \(queue.name) can't be used: \(reason)") }
            consumeIfRoom(now: .now)
            delayed.bindAgain(queue, now: .now)
        }
    }

    // MARK: control requests

    /// Declares this node's mailbox and listens. Nothing else depends on it: where it is forbidden the node works without.
    func consumeControl(now: MonotonicTime, then: @escaping () -> Void) {
        consumeControl(queue: "\(node).celery.pidbox", isSecond: false, now: now, then)
    }

    private func consumeControl(queue: String, isSecond: Bool, now: MonotonicTime, _ then: @escaping () -> Void) {
        let failed = { [unowned self] (refusal: AMQPRefusal) in
            // Another node of this name, or our own last connection of which the server has not seen the end: requests go to all
            // mailboxes that are bound, whatever their names.
            if refusal.code == 405, !isSecond {
                consumeControl(queue: "\(node).\(Incarnation.randomUUID()).celery.pidbox", isSecond: true, now: .now, then)
            } else {
                events.append(.notice("this node hears no control requests: \(refusal)"))
                then()
            }
        }
        control.ask(AMQPTopology.controlQueue(queue), now: now) { [unowned self] answer in
            if case .failure(let refusal) = answer { return failed(refusal) }
            control.ask(.queueBind(queue: queue, exchange: AMQPTopology.controlExchange, routingKey: ""), now: .now) { _ in }
            control.ask(.consume(queue: queue, tag: AMQPCarrier.controlConsumer, noAck: true), now: .now) { _ in then() }
            consuming.flush()
        }
    }
}
